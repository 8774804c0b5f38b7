import { describe, expect, it } from "vitest";
import {
  decimal,
  fileName,
  integer,
  integers,
  oneOf,
  onePositional,
  parseArguments,
  tokenIds,
  UsageError,
} from "./arguments.js";

const options = {
  prompt: { type: "string", short: "p" },
  count: { type: "string", short: "n" },
  json: { type: "boolean" },
} as const;

describe("parseArguments()", () => {
  it("takes the argument after an option as its value, whatever it begins with", () => {
    for (const text of ["-x", "--help", "--json", "-", "--", "", "-p", "a=b", "--prompt=x"]) {
      expect(parseArguments(["-p", text], options).values).toEqual({ prompt: text });
      expect(parseArguments(["--prompt", text], options).values).toEqual({ prompt: text });
      expect(parseArguments([`--prompt=${text}`], options).values).toEqual({ prompt: text });
    }
  });

  it("finds positional arguments before, between and after options", () => {
    const { values, positionals } = parseArguments(["a", "-p", "x", "b", "--json", "c"], options);
    expect(positionals).toEqual(["a", "b", "c"]);
    expect(values).toEqual({ prompt: "x", json: true });
  });

  it("takes what follows -- as positional", () => {
    expect(parseArguments(["--json", "--", "-p", "--x"], options)).toEqual({
      values: { json: true },
      positionals: ["-p", "--x"],
    });
  });

  it("collects the values of an option that may be given several times", () => {
    const table = { stop: { type: "string", multiple: true } } as const;
    expect(parseArguments(["--stop", "-a", "--stop=b"], table).values).toEqual({ stop: ["-a", "b"] });
  });

  it("takes --help and -h for every command", () => {
    expect(parseArguments(["--help"], options).values.help).toBe(true);
    expect(parseArguments(["-h"], options).values.help).toBe(true);
  });

  it.each([
    [["--foo"], "unknown option '--foo'"],
    [["-x"], "unknown option '-x'"],
    [["-p"], "-p: expected a value after it, found none"],
    [["--json", "--count"], "--count: expected a value after it, found none"],
    [["--json=1"], "option '--json' does not take an argument"],
  ])("refuses %j in one line that names the option", (args, message) => {
    expect(() => parseArguments(args, options)).toThrow(UsageError);
    expect(() => parseArguments(args, options)).toThrow(new RegExp(`^${message}$`));
  });
});

describe("the readers of values", () => {
  it("give undefined for an option that is not there", () => {
    expect(integer("-n", undefined, 0)).toBeUndefined();
    expect(integers("-t", undefined, 1)).toBeUndefined();
    expect(decimal("-t", undefined)).toBeUndefined();
    expect(oneOf("-o", undefined, ["a"])).toBeUndefined();
    expect(tokenIds("-i", undefined)).toBeUndefined();
    expect(fileName("-f", undefined)).toBeUndefined();
    expect(onePositional([], "model")).toBeUndefined();
  });

  it("read what is written as they ask", () => {
    expect(integer("-n", "0", 0)).toBe(0);
    expect(integer("-n", "9007199254740991", 0)).toBe(2 ** 53 - 1);
    expect(["0", "1", "0.95", ".5", "2.", "1e-3", "1E3"].map((text) => decimal("-t", text))).toEqual([
      0, 1, 0.95, 0.5, 2, 0.001, 1000,
    ]);
    expect(integers("-t", "1,2,16", 1)).toEqual([1, 2, 16]);
    expect(tokenIds("-i", "1,2, 300")).toEqual([1, 2, 300]);
    expect(oneOf("-o", "b", ["a", "b"])).toBe("b");
    expect(fileName("-f", "./-x")).toBe("./-x");
  });

  it.each(["x", "", "1.5", "-1", "0x10", "1e3", "nan", "9007199254740992", " 1"])(
    "integer() refuses %j by the option's name",
    (text) => {
      expect(() => integer("-n", text, 0)).toThrow(UsageError);
      expect(() => integer("-n", text, 0)).toThrow(`-n: expected an integer, 0 or more, found "${text}"`);
    },
  );

  it.each(["x", "", "nan", "NaN", "inf", "Infinity", "-1", "0x1", "1e999", "1,5", "."])(
    "decimal() refuses %j by the option's name",
    (text) => {
      expect(() => decimal("-t", text)).toThrow(UsageError);
      expect(() => decimal("-t", text)).toThrow(`-t: expected a number, 0 or more, found "${text}"`);
    },
  );

  it("take numbers below 0 where these are allowed", () => {
    expect(["-1", "-0.5", "2", "-1e3"].map((text) => decimal("-t", text, { least: -Infinity }))).toEqual([
      -1, -0.5, 2, -1000,
    ]);
    expect(() => decimal("-t", "--1", { least: -Infinity })).toThrow('-t: expected a number, found "--1"');
  });

  it("refuse values beyond their bounds", () => {
    expect(() => integer("-n", "0", 1)).toThrow("an integer, 1 or more");
    expect(() => decimal("-t", "1.01", { most: 1 })).toThrow("a number from 0 to 1");
    expect(() => oneOf("-o", "c", ["a", "b"])).toThrow('-o: expected a or b, found "c"');
    expect(() => fileName("-f", "--all")).toThrow("the name of a file");
    expect(() => onePositional(["a", "b"], "model")).toThrow('expected one model, found "a" and "b"');
  });

  it.each(["", "0", "1,", "1,0", "1, 2", "x", "-1", "1.5", "1,,2"])("integers() refuses %j", (text) => {
    expect(() => integers("-t", text, 1)).toThrow(UsageError);
    expect(() => integers("-t", text, 1)).toThrow(`-t: expected integers between commas, 1 or more`);
  });

  it.each(["", "1,", "1,x", "1 2", "1.5", "-1"])("tokenIds() refuses %j", (text) => {
    expect(() => tokenIds("-i", text)).toThrow(UsageError);
  });
});
