import { FormatError } from "../errors.js";
import { grouped, quoted } from "./byte-cursor.js";
import type { Source } from "./source.js";

/** A JSON value. Integers (`4`) are bigints, so that they are exact and told apart from `4.0` and `4e0`, which are numbers. */
export type JsonValue = string | number | bigint | boolean | null | readonly JsonValue[] | JsonObject;

/** A Map, in which a key named `__proto__` is one like any other. */
export type JsonObject = ReadonlyMap<string, JsonValue>;

/** No file of a model nests more than some five deep; a hostile one would exhaust the stack. */
const maxDepth = 64;
/** The largest index has some thousands of values; each takes memory far beyond its bytes. */
const maxValues = 2 ** 21;
/** The largest that occur describe the added tokens of a tokenizer, in some 200 KB. */
const maxFileBytes = 2 ** 24;

/**
 * Reads a whole file as JSON; see parseJson.
 *
 * @throws FormatError for a file that is larger than any of its kind
 */
export async function readJson(source: Source): Promise<JsonValue> {
  if (source.size > maxFileBytes) {
    throw new FormatError(
      `Cannot read ${source.name}: expected at most ${grouped(maxFileBytes)} bytes of JSON, found ${grouped(source.size)}`,
    );
  }
  return parseJson(await source.read(0, source.size), source.name);
}

/** Like readJson, for a file that has to hold an object. */
export async function readJsonObject(source: Source): Promise<JsonObject> {
  const value = await readJson(source);
  if (isJsonObject(value)) return value;
  throw new FormatError(`Cannot read ${source.name}: expected a JSON object, found ${kindOf(value)}`);
}

/**
 * Parses JSON (RFC 8259) by the letter. JSON.parse keeps the last of duplicate keys without a word, where another reader may keep
 * the first; here they are refused, as are a byte order mark, bytes that are no UTF-8, numbers beyond f64, and deep nesting.
 *
 * @param name what errors call the text
 */
export function parseJson(bytes: Uint8Array, name: string): JsonValue {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new FormatError(`Cannot read ${name}: expected JSON in UTF-8, found bytes that are none`);
  }
  return new JsonParser(text, name).parse();
}

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return value instanceof Map;
}

export function isJsonArray(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value);
}

/** What a value is, for an error message: `"4"`, `4`, `an array`. */
export function kindOf(value: JsonValue | undefined): string {
  if (value === undefined) return "nothing";
  if (isJsonObject(value)) return "an object";
  if (isJsonArray(value)) return "an array";
  return typeof value === "string" ? quoted(value) : String(value);
}

const whitespace = /[ \t\n\r]*/y;
const number = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?/y;
/** Far more digits than any number needs; converting millions of them takes minutes. */
const maxNumberLength = 400;
const constants = [
  ["true", true],
  ["false", false],
  ["null", null],
] as const;

class JsonParser {
  #at = 0;
  #values = 0;
  readonly #text: string;
  readonly #name: string;

  constructor(text: string, name: string) {
    this.#text = text;
    this.#name = name;
  }

  parse(): JsonValue {
    const value = this.#value(0);
    if (this.#next() !== undefined) throw this.#unlike("the end");
    return value;
  }

  #value(depth: number): JsonValue {
    if (depth > maxDepth) throw this.#bad(`values nested at most ${maxDepth} deep`, "a deeper one");
    if (++this.#values > maxValues) throw this.#bad(`at most ${grouped(maxValues)} values`, "more");
    const next = this.#next();
    if (next === "{") return this.#object(depth);
    if (next === "[") return this.#array(depth);
    if (next === '"') return this.#string();
    for (const [word, value] of constants) {
      if (!this.#text.startsWith(word, this.#at)) continue;
      this.#at += word.length;
      return value;
    }
    return this.#number();
  }

  #object(depth: number): JsonObject {
    const entries = new Map<string, JsonValue>();
    this.#list("{", "}", () => {
      if (this.#next() !== '"') throw this.#unlike("a key in quotes");
      const key = this.#string();
      if (entries.has(key)) throw this.#bad("each key once", `${quoted(key)} again`);
      this.#take(":");
      entries.set(key, this.#value(depth + 1));
    });
    return entries;
  }

  #array(depth: number): JsonValue[] {
    const values: JsonValue[] = [];
    this.#list("[", "]", () => values.push(this.#value(depth + 1)));
    return values;
  }

  /** Elements between commas, and the brackets around them. */
  #list(open: string, close: string, readElement: () => void): void {
    this.#take(open);
    if (this.#next() !== close) {
      readElement();
      while (this.#next() === ",") {
        this.#take(",");
        readElement();
      }
    }
    this.#take(close);
  }

  #string(): string {
    const start = this.#at;
    let end = start + 1;
    let escaped = false;
    for (; this.#text[end] !== '"'; end++) {
      const code = this.#text.charCodeAt(end);
      if (!(code >= 0x20)) throw this.#bad("the end of a string", Number.isNaN(code) ? "none" : "a line's");
      if (code !== 0x5c) continue; // a backslash
      escaped = true;
      end++;
    }
    this.#at = end + 1;
    if (!escaped) return this.#text.slice(start + 1, end);
    const literal = this.#text.slice(start, end + 1);
    try {
      return JSON.parse(literal) as string;
    } catch {
      throw this.#bad("the escapes of JSON", literal);
    }
  }

  #number(): number | bigint {
    number.lastIndex = this.#at;
    const [literal, fraction, exponent] = number.exec(this.#text) ?? [];
    if (literal === undefined) throw this.#unlike("a value");
    if (literal.length > maxNumberLength) {
      throw this.#bad(`a number of at most ${maxNumberLength} digits`, `${grouped(literal.length)} of them`);
    }
    this.#at += literal.length;
    if (fraction === undefined && exponent === undefined) return BigInt(literal);
    const value = Number(literal);
    if (!Number.isFinite(value)) throw this.#bad("a number that f64 can hold", literal);
    return value;
  }

  /** The next character that is no white space; undefined at the end. */
  #next(): string | undefined {
    whitespace.lastIndex = this.#at;
    this.#at += whitespace.exec(this.#text)![0].length;
    return this.#text[this.#at];
  }

  #take(character: string): void {
    if (this.#next() !== character) throw this.#unlike(`"${character}"`);
    this.#at++;
  }

  #unlike(expected: string): FormatError {
    const found = this.#text.slice(this.#at, this.#at + 20);
    return this.#bad(expected, found === "" ? "the end" : JSON.stringify(found));
  }

  #bad(expected: string, found: string): FormatError {
    const line = this.#text.slice(0, this.#at).split("\n").length;
    return new FormatError(
      `Cannot read ${this.#name}: expected ${expected}, found ${found} (JSON, character ${grouped(this.#at)}, line ${line})`,
    );
  }
}
