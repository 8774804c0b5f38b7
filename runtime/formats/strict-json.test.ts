import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FormatError } from "../errors.js";
import { bytesSource } from "./source.js";
import { type JsonValue, parseJson, readJson, readJsonObject } from "./strict-json.js";

const parse = (text: string) => parseJson(new TextEncoder().encode(text), "x.json");

/** As JSON.parse would have it. */
function plain(value: JsonValue): unknown {
  if (typeof value === "bigint") return Number(value);
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, entry]) => [key, plain(entry)]));
  return Array.isArray(value) ? value.map(plain) : value;
}

describe("parseJson()", () => {
  it("agrees with JSON.parse on whatever JSON.stringify writes", () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 5 }), fc.constantFrom(undefined, 1, "\t"), (text, indent) => {
        const value: unknown = JSON.parse(text);
        expect(plain(parse(JSON.stringify(value, null, indent) ?? "null"))).toEqual(value);
      }),
      { numRuns: 500 },
    );
  });

  it("accepts nothing that JSON.parse refuses, and all it refuses itself is FormatErrors", () => {
    const pieces = [
      "{",
      "}",
      "[",
      "]",
      ",",
      ":",
      '"',
      '"a"',
      "1",
      "-",
      ".5",
      "e3",
      "0",
      " ",
      "true",
      "nul",
      "\\",
    ];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 12 }), (parts) => {
        const text = parts.join("");
        let value: JsonValue;
        try {
          value = parse(text);
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
          return;
        }
        expect(JSON.stringify(plain(value))).toBe(JSON.stringify(JSON.parse(text))); // which writes -0 as 0
      }),
      { numRuns: 3000 },
    );
  });

  it("tells integers from other numbers, and keeps all their digits", () => {
    expect(parse("[4, 4.0, 4e0, -0, 9007199254740993]")).toEqual([4n, 4, 4, 0n, 9007199254740993n]);
  });

  it("keeps a key named __proto__ as one like any other", () => {
    const value = parse('{"__proto__": 1}') as ReadonlyMap<string, JsonValue>;
    expect(value.get("__proto__")).toBe(1n);
    expect(Object.getPrototypeOf(value)).toBe(Map.prototype);
  });

  it("decodes the escapes of strings", () => {
    expect(parse('"\\u00e9\\n\\"\\\\\\ud83d\\ude00/"')).toBe('é\n"\\\u{1f600}/');
  });

  it.each([
    ["duplicate keys", '{"a": 1, "b": 2, "a": 1}', /expected each key once, found "a" again/],
    ["duplicate keys by an escape", '{"a": 1, "\\u0061": 1}', /expected each key once/],
    ["a byte order mark", "\ufeff{}", /expected a value, found "\ufeff\{\}"/],
    ["trailing characters", '{"a": 1} x', /expected the end, found "x"/],
    ["an empty text", "", /expected a value, found the end/],
    ["deep nesting", "[".repeat(30_000), /nested at most 64 deep/],
    ["a string without an end", '"abc', /expected the end of a string, found none/],
    ["a string over two lines", '"a\nb"', /expected the end of a string, found a line's/],
    ["an escape that is none", '"\\x41"', /expected the escapes of JSON/],
    ["a number beyond f64", "1e400", /a number that f64 can hold/],
    ["a million digits", "1".repeat(1_000_000), /at most 400 digits, found 1,000,000/],
    ["a leading zero", "01", /expected the end/],
    ["a comma too many", "[1,]", /expected a value/],
    ["a comment", "// x\n1", /expected a value/],
    ["a word that is none", "True", /expected a value/],
    ["a missing colon", '{"a" 1}', /expected ":"/],
  ])("%s is a FormatError", (_, text, message) => {
    expect(() => parse(text)).toThrow(FormatError);
    expect(() => parse(text)).toThrow(message);
  });

  it("refuses bytes that are no UTF-8", () => {
    expect(() => parseJson(Uint8Array.of(0x22, 0xff, 0x22), "x.json")).toThrow(/expected JSON in UTF-8/);
  });

  it("refuses more values than any file has, in seconds", () => {
    const began = performance.now();
    expect(() => parse(`[${"1,".repeat(3_000_000)}1]`)).toThrow(/at most 2,097,152 values/);
    expect(performance.now() - began).toBeLessThan(5000);
  });

  it("says in which line the trouble is", () => {
    expect(() => parse('{\n  "a": 1,\n  "b": x\n}')).toThrow(/character 19, line 3/);
  });
});

describe("readJson()", () => {
  it("refuses a large file before reading it", async () => {
    const source = {
      ...bytesSource(new Uint8Array(), "x.json"),
      size: 2 ** 40,
      read: () => Promise.reject(new Error("not to be read")),
    };
    await expect(readJson(source)).rejects.toThrow(/expected at most 16,777,216 bytes of JSON/);
  });

  it("refuses what is no object where one is asked for", async () => {
    const source = bytesSource(new TextEncoder().encode("[1]"), "x.json");
    await expect(readJsonObject(source)).rejects.toThrow(/expected a JSON object, found an array/);
  });
});
