import { ModelError } from "../errors.js";
import type { Gguf } from "./gguf.js";

/**
 * Metadata by key, checked for its type: undefined where the file has no such key, a ModelError where it has one of
 * another type. Writers differ in the width of their integers (u32, i32, u64), so any is taken.
 */

export function integerAt(gguf: Gguf, key: string): number | undefined {
  const value = gguf.metadata.get(key);
  if (value === undefined) return undefined;
  if (!/^[ui]\d+$/.test(gguf.metadataTypes.get(key)!)) throw wrongType(gguf, key, "an integer");
  return Number(value); // of a u64 beyond 2^53 the nearest, which is out of any range asked for
}

export function numberAt(gguf: Gguf, key: string): number | undefined {
  const value = gguf.metadata.get(key);
  if (value === undefined) return undefined;
  if (typeof value !== "number" && typeof value !== "bigint") throw wrongType(gguf, key, "a number");
  return Number(value);
}

export function booleanAt(gguf: Gguf, key: string): boolean | undefined {
  const value = gguf.metadata.get(key);
  if (value === undefined || typeof value === "boolean") return value;
  throw wrongType(gguf, key, "a bool");
}

export function stringAt(gguf: Gguf, key: string): string | undefined {
  const value = gguf.metadata.get(key);
  if (value === undefined || typeof value === "string") return value;
  throw wrongType(gguf, key, "a string");
}

export function stringsAt(gguf: Gguf, key: string): readonly string[] | undefined {
  const value = gguf.metadata.get(key);
  if (value === undefined) return undefined;
  if (gguf.metadataTypes.get(key) !== "string[]") throw wrongType(gguf, key, "an array of strings");
  return value as readonly string[];
}

export function numbersAt(gguf: Gguf, key: string): ArrayLike<number> | undefined {
  const value = gguf.metadata.get(key);
  if (value === undefined) return undefined;
  if (!/^[uif](8|16|32)\[\]$|^f64\[\]$/.test(gguf.metadataTypes.get(key)!)) {
    throw wrongType(gguf, key, "an array of numbers");
  }
  return value as ArrayLike<number>;
}

/** The error for a model that a key describes wrongly: `problem` names the key. */
export function modelError(gguf: Gguf, problem: string): ModelError {
  return new ModelError(`Cannot load ${gguf.source.name}: ${problem}`);
}

function wrongType(gguf: Gguf, key: string, expected: string): ModelError {
  return modelError(gguf, `${key}: expected ${expected}, found the type ${gguf.metadataTypes.get(key)}`);
}
