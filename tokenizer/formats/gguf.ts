import { cannotOpen, unsupported } from "../errors.js";
import type { TokenizerModel } from "../model.js";
import { type PieceList, PieceListBuilder, pieceType } from "../piece-list.js";
import { decodeUtf8 } from "../utf8.js";
import { ByteReader } from "./byte-reader.js";
import { fromVocabulary } from "./vocabulary-data.js";

/** GGUF's types of values, by number, and the bytes that the fixed-size ones take. */
const type = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 } as const;
const fixedBytes = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];

/** Arrays of arrays: nothing in use nests at all, and a hostile file would exhaust the stack. */
const maxArrayDepth = 4;

const prefix = "tokenizer.ggml.";
/** "GGUF" */
const magic = 0x46554747;

/** A value of the header: where it begins and what it is; arrays with what they hold and how much of it. */
interface Entry {
  readonly type: number;
  readonly elements: number;
  readonly count: number;
  readonly begin: number;
}

export function isGguf(bytes: Uint8Array): boolean {
  return bytes[0] === 0x47 && bytes[1] === 0x47 && bytes[2] === 0x55 && bytes[3] === 0x46;
}

/**
 * The vocabulary in a GGUF file's header: the keys tokenizer.ggml.*, and nothing else of the file. Its tensors may be
 * missing, so that the first megabytes of a file do.
 *
 * This walk stands beside the runtime's GGUF reader on purpose: the tokenizer is a package entry of its own, that
 * shares no code with the runtime.
 */
export function readGguf(bytes: Uint8Array, name: string): TokenizerModel {
  const entries = readEntries(bytes, name);
  const has = (key: string) => entries.has(key);

  const get = (key: string, wanted: number, what: string, elements = -1): Entry | undefined => {
    const entry = entries.get(key);
    if (entry && (entry.type !== wanted || entry.elements !== elements)) {
      const found = entry.type === type.array ? `an array of type ${entry.elements}` : `type ${entry.type}`;
      throw cannotOpen(name, `${prefix}${key}: expected ${what}, found ${found}`);
    }
    return entry;
  };
  const readerAt = (entry: Entry) => new ByteReader(bytes, name, entry.begin);
  const id = (key: string): number | undefined => {
    const entry = get(key, type.u32, `a u32 (type ${type.u32})`);
    return entry && readerAt(entry).u32(key);
  };
  const flag = (key: string): boolean | undefined => {
    const entry = get(key, type.bool, `a bool (type ${type.bool})`);
    return entry && readerAt(entry).u8(key) !== 0;
  };
  // a copy, which aligns the numbers (typed arrays are little-endian wherever JavaScript runs today)
  const numbers = (key: string, elements: number, what: string): ArrayBuffer | undefined => {
    const entry = get(key, type.array, `an array of ${what} (type ${elements})`, elements);
    return entry && bytes.slice(entry.begin, entry.begin + 4 * entry.count).buffer;
  };

  const model = get("model", type.string, `a string (type ${type.string})`);
  if (!model) throw cannotOpen(name, `${prefix}model: expected a vocabulary in the file, found none`);
  const tokens = get("tokens", type.array, `an array of strings (type ${type.string})`, type.string);
  if (!tokens) throw cannotOpen(name, `${prefix}tokens: expected an array of strings, found none`);
  if (has("precompiled_charsmap")) {
    throw unsupported(
      name,
      `${prefix}precompiled_charsmap: expected none, found one, which is not supported`,
    );
  }
  if (flag("remove_extra_whitespaces")) {
    throw unsupported(
      name,
      `${prefix}remove_extra_whitespaces: expected false, found true, which is not supported`,
    );
  }

  const scores = numbers("scores", type.f32, "f32");
  const types = numbers("token_type", type.i32, "i32");
  const fields = {
    model: readString(readerAt(model), `${prefix}model`),
    scores: scores && new Float32Array(scores),
    types: types && new Int32Array(types),
    bos: id("bos_token_id"),
    eos: id("eos_token_id"),
    unk: id("unknown_token_id"),
    eot: id("eot_token_id"),
    addBos: flag("add_bos_token"),
    addEos: flag("add_eos_token"),
    addSpacePrefix: flag("add_space_prefix"),
  };
  return fromVocabulary(readTokens(readerAt(tokens), tokens.count), fields, name);
}

/** The tokens, whose lengths have been checked, with a copy of the part of the file that they lie in. */
function readTokens(reader: ByteReader, count: number): PieceList {
  const first = reader.at;
  const tokens = new PieceListBuilder();
  for (let i = 0; i < count; i++) {
    const length = reader.u64("length of a token");
    const begin = reader.skip(length, "a token") - first;
    tokens.add(begin, begin + length, 0, pieceType.normal);
  }
  return tokens.build(reader.bytes.slice(first, reader.at));
}

/** All of tokenizer.ggml.*, the prefix taken off. */
function readEntries(bytes: Uint8Array, name: string): ReadonlyMap<string, Entry> {
  const reader = new ByteReader(bytes, name);
  if (reader.u32("magic") !== magic) throw reader.bad("magic", "GGUF", "something else");
  const version = reader.u32("version");
  if (version !== 2 && version !== 3) {
    // a file for big-endian machines shows as 2^24 or more
    throw unsupported(name, `version: expected GGUF 2 or 3, little-endian, found ${version}`);
  }
  reader.u64("tensor_count");
  const entries = new Map<string, Entry>();
  // every pair takes 13 bytes at least: a count that says too much ends at the end of the bytes
  for (let left = reader.u64("metadata_kv_count"); left > 0; left--) {
    const key = readString(reader, "a key of the header");
    const entry = readEntry(reader, key);
    if (!key.startsWith(prefix)) continue;
    if (entries.has(key.slice(prefix.length)))
      throw reader.bad(key, "a key that is there once", "a second one");
    entries.set(key.slice(prefix.length), entry);
  }
  return entries;
}

/** Passes a value and tells where it lies. */
function readEntry(reader: ByteReader, key: string): Entry {
  const valueType = reader.u32(`type of ${key}`);
  if (valueType !== type.array) {
    const begin = reader.at;
    skipValues(reader, key, valueType, 1);
    return { type: valueType, elements: -1, count: 1, begin };
  }
  const elements = reader.u32(`type of the elements of ${key}`);
  const count = reader.u64(`length of ${key}`);
  const begin = reader.at;
  skipValues(reader, key, elements, count);
  return { type: valueType, elements, count, begin };
}

function skipValues(reader: ByteReader, key: string, valueType: number, count: number, depth = 1): void {
  const bytes = fixedBytes[valueType];
  if (bytes === undefined) throw reader.bad(`type of ${key}`, "0 to 12", String(valueType));
  if (bytes > 0) {
    reader.skip(bytes * count, key);
    return;
  }
  if (depth > maxArrayDepth)
    throw reader.bad(key, `arrays nested at most ${maxArrayDepth} deep`, "a deeper one");
  const field = `length in ${key}`; // made once: a vocabulary has tens of thousands of strings
  for (let i = 0; i < count; i++) {
    if (valueType === type.string) reader.skip(reader.u64(field), key);
    else {
      const elements = reader.u32(`type of the elements of ${key}`);
      skipValues(reader, key, elements, reader.u64(field), depth + 1);
    }
  }
}

function readString(reader: ByteReader, field: string): string {
  const length = reader.u64(`length of ${field}`);
  const begin = reader.skip(length, field);
  return decodeUtf8(reader.bytes, begin, begin + length);
}
