import { type ByteCursor, quoted } from "./byte-cursor.js";
import type { MetadataValue } from "./checkpoint.js";

/** GGUF's metadata value types, by number. Source: enum gguf_metadata_value_type in the GGUF specification. */
export const valueTypes = [
  "u8",
  "i8",
  "u16",
  "i16",
  "u32",
  "i32",
  "f32",
  "bool",
  "string",
  "array",
  "u64",
  "i64",
  "f64",
] as const;
export type ValueType = (typeof valueTypes)[number];

/** A metadata value's type in the file: `u32`, `string`, `f32[]`, and `u8[][]` for an array of arrays. */
export type MetadataType = string;

/** The bytes that one value of each type takes at least. */
const minBytes: Record<ValueType, number> = {
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  f32: 4,
  bool: 1,
  string: 8, // its length
  array: 12, // its elements' type and its length
  u64: 8,
  i64: 8,
  f64: 8,
};

/** Arrays of arrays of arrays ...: no file in use nests at all; a hostile one would exhaust the stack. */
const maxArrayDepth = 4;

const lenientUtf8 = new TextDecoder("utf-8", { ignoreBOM: true });
const strictUtf8 = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/** A metadata value at the cursor: its type's number, then the value. */
export function readMetadataValue(
  cursor: ByteCursor,
  key: string,
): { readonly value: MetadataValue; readonly type: MetadataType } {
  const type = readType(cursor, key);
  return type === "array" ? readArray(cursor, key, 1) : { value: readValue(cursor, key, type), type };
}

/** A string that names something (a key, a tensor): at most `maxBytes` of valid UTF-8, and not empty. */
export function readName(cursor: ByteCursor, field: string, maxBytes: number): string {
  const length = cursor.count(`length of ${field}`, 1);
  if (length === 0 || length > maxBytes) {
    throw cursor.bad(`length of ${field}`, `1 to ${maxBytes} bytes`, String(length));
  }
  const bytes = cursor.take(length, field);
  try {
    return strictUtf8.decode(bytes);
  } catch {
    throw cursor.bad(field, "UTF-8", quoted(lenientUtf8.decode(bytes)));
  }
}

function readType(cursor: ByteCursor, key: string): ValueType {
  const number = cursor.u32(`type of ${key}`);
  const type = valueTypes[number];
  if (!type) throw cursor.bad(`type of ${key}`, "a GGUF value type from 0 to 12", String(number));
  return type;
}

function readValue(cursor: ByteCursor, key: string, type: Exclude<ValueType, "array">): MetadataValue {
  switch (type) {
    case "string":
      // text for people and tokens of vocabularies: bytes that are no UTF-8 become U+FFFD
      return lenientUtf8.decode(cursor.take(cursor.count(`length of ${key}`, 1), key));
    case "bool":
      return readBool(cursor, key);
    case "u8":
      return cursor.u8(key);
    case "i8":
      return cursor.view(1, key).getInt8(0);
    case "u16":
      return cursor.view(2, key).getUint16(0, true);
    case "i16":
      return cursor.view(2, key).getInt16(0, true);
    case "u32":
      return cursor.u32(key);
    case "i32":
      return cursor.view(4, key).getInt32(0, true);
    case "f32":
      return cursor.view(4, key).getFloat32(0, true);
    case "f64":
      return cursor.view(8, key).getFloat64(0, true);
    case "u64":
      return cursor.u64(key);
    case "i64":
      return cursor.view(8, key).getBigInt64(0, true);
  }
}

function readBool(cursor: ByteCursor, key: string): boolean {
  const byte = cursor.u8(key);
  if (byte > 1) throw cursor.bad(key, "a bool, 0 or 1", String(byte));
  return byte === 1;
}

function readArray(
  cursor: ByteCursor,
  key: string,
  depth: number,
): { readonly value: MetadataValue; readonly type: MetadataType } {
  if (depth > maxArrayDepth) {
    throw cursor.bad(key, `arrays nested at most ${maxArrayDepth} deep`, "a deeper one");
  }
  const type = readType(cursor, key);
  const length = cursor.count(`length of ${key}`, minBytes[type]);
  // an array takes some four times as long to make as a string
  if (type === "array" || type === "string") cursor.spend(type === "array" ? 4 * length : length, key);
  cursor.need(length * minBytes[type], key);

  if (type === "array") {
    const values: MetadataValue[] = [];
    let elementType = "array";
    for (let i = 0; i < length; i++) {
      const array = readArray(cursor, key, depth + 1);
      values.push(array.value);
      if (i === 0) elementType = array.type;
    }
    return { value: values, type: `${elementType}[]` };
  }
  if (type === "string" || type === "bool") {
    const values: MetadataValue[] = [];
    for (let i = 0; i < length; i++) values.push(readValue(cursor, key, type));
    return { value: values, type: `${type}[]` };
  }
  // a copy, which aligns the numbers and lets go of the window; typed arrays are little-endian on every machine that
  // runs WebAssembly in JavaScript today
  const { buffer } = new Uint8Array(cursor.take(length * minBytes[type], key));
  return { value: new numberArrays[type](buffer), type: `${type}[]` };
}

const numberArrays = {
  u8: Uint8Array,
  i8: Int8Array,
  u16: Uint16Array,
  i16: Int16Array,
  u32: Uint32Array,
  i32: Int32Array,
  f32: Float32Array,
  u64: BigUint64Array,
  i64: BigInt64Array,
  f64: Float64Array,
} as const;
