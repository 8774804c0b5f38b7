import { parseArgs } from "node:util";

/** The command line is not what the command takes. The message completes "Cannot run: ..."; the exit code is 2. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** A command's options by their long names. */
export type OptionTable = Readonly<
  Record<
    string,
    { readonly type: "string" | "boolean"; readonly short?: string; readonly multiple?: boolean }
  >
>;

export type Values<T extends OptionTable> = {
  readonly [Name in keyof T]?: T[Name]["type"] extends "boolean"
    ? boolean
    : T[Name] extends { readonly multiple: true }
      ? readonly string[]
      : string;
};

/** Every command has this one. */
const helpOption = { help: { type: "boolean", short: "h" } } as const satisfies OptionTable;

/**
 * Reads a command's arguments. The argument after an option that takes a value is its value, also when it begins with a
 * dash: prompts and texts do. (parseArgs by itself takes that for a forgotten value.)
 */
export function parseArguments<T extends OptionTable>(
  args: readonly string[],
  table: T,
): { readonly values: Values<T & typeof helpOption>; readonly positionals: readonly string[] } {
  const options = { ...table, ...helpOption };
  try {
    const { values, positionals } = parseArgs({
      args: joinValues(args, options),
      options,
      allowPositionals: true,
    });
    return { values: values as Values<T & typeof helpOption>, positionals };
  } catch (error) {
    if (!(error instanceof Error && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS"))) {
      throw error;
    }
    const [problem] = error.message.split(/\. |\n/); // advice follows
    throw new UsageError(problem!.charAt(0).toLowerCase() + problem!.slice(1).replace(/\.$/, ""));
  }
}

/** `-p TEXT` and `--prompt TEXT` as `--prompt=TEXT`. */
function joinValues(args: readonly string[], table: OptionTable): string[] {
  const names = new Map<string, string>();
  for (const [name, { type, short }] of Object.entries(table)) {
    if (type !== "string") continue;
    names.set(`--${name}`, name);
    if (short) names.set(`-${short}`, name);
  }
  const joined: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === "--") return [...joined, ...args.slice(i)];
    const name = names.get(arg);
    if (name === undefined) {
      joined.push(arg);
      continue;
    }
    const value = args[++i];
    if (value === undefined) throw new UsageError(`${arg}: expected a value after it, found none`);
    joined.push(`--${name}=${value}`);
  }
  return joined;
}

/** The only positional argument, or undefined where there is none. */
export function onePositional(positionals: readonly string[], what: string, advice = ""): string | undefined {
  if (positionals.length > 1) {
    const found = positionals.map((argument) => JSON.stringify(argument)).join(" and ");
    throw new UsageError(`expected one ${what}, found ${found}${advice}`);
  }
  return positionals[0];
}

export function integer(option: string, text: string | undefined, least: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < least) {
    throw unlike(option, `an integer, ${least} or more`, text);
  }
  return value;
}

/** Integers between commas. */
export function integers(option: string, text: string | undefined, least: number): number[] | undefined {
  if (text === undefined) return undefined;
  return text.split(",").map((part) => {
    const value = Number(part);
    if (!/^\d+$/.test(part) || !Number.isSafeInteger(value) || value < least) {
      throw unlike(option, `integers between commas, ${least} or more, such as 1,2`, text);
    }
    return value;
  });
}

const byteUnits = { "": 1, kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30 } as const;

/** A number of bytes, 1 or more, as an integer or with a unit: 2GiB, 1.5GiB. Parts of a byte are left out. */
export function byteCount(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const [, digits, unit] = /^(\d+(?:\.\d+)?) ?(|[KMG]iB)$/i.exec(text) ?? [];
  const value = Math.floor(Number(digits) * byteUnits[(unit ?? "").toLowerCase() as keyof typeof byteUnits]);
  const isWhole = unit !== "" || !digits!.includes(".");
  if (digits === undefined || !isWhole || !Number.isSafeInteger(value) || value < 1) {
    throw unlike(option, "a number of bytes, such as 4000000000, 512MiB or 1.5GiB", text);
  }
  return value;
}

/** A number from `least` to `most`, written in decimal. */
export function decimal(
  option: string,
  text: string | undefined,
  { least = 0, most = Infinity }: { readonly least?: number; readonly most?: number } = {},
): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  const isNumber = /^-?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text) && Number.isFinite(value);
  if (isNumber && value >= least && value <= most) return value;
  const bounds =
    most < Infinity ? ` from ${least} to ${most}` : least > -Infinity ? `, ${least} or more` : "";
  throw unlike(option, `a number${bounds}`, text);
}

export function oneOf<T extends string>(
  option: string,
  text: string | undefined,
  known: readonly T[],
): T | undefined {
  if (text === undefined || known.includes(text as T)) return text as T | undefined;
  throw unlike(option, known.join(" or "), text);
}

/** Token ids between commas. Whether the vocabulary has them is for the model to say. */
export function tokenIds(option: string, text: string | undefined): number[] | undefined {
  if (text === undefined) return undefined;
  return text.split(",").map((part) => {
    const id = Number(part);
    if (!/^\s*\d+\s*$/.test(part) || !Number.isSafeInteger(id)) {
      throw unlike(option, "token ids between commas, such as 1,2,3", text);
    }
    return id;
  });
}

/** The name of a file. Values may begin with a dash, but a file of that name is rather a forgotten value. */
export function fileName(option: string, text: string | undefined): string | undefined {
  if (text === "" || text?.startsWith("-")) {
    throw unlike(option, "the name of a file (./-name for one that begins with a dash)", text);
  }
  return text;
}

function unlike(option: string, expected: string, found: string): UsageError {
  return new UsageError(`${option}: expected ${expected}, found ${JSON.stringify(found)}`);
}
