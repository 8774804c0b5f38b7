import { FormatError } from "../errors.js";
import { ByteCursor, grouped, quoted } from "./byte-cursor.js";
import { describeHead } from "./file-signatures.js";
import type { StoredTensor } from "./llama-tensors.js";
import type { Source } from "./source.js";
import { isJsonArray, isJsonObject, type JsonValue, kindOf, parseJson } from "./strict-json.js";

/** An opened safetensors file: the container only. */
export interface Safetensors {
  /** In the header's order. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly source: Source;
}

/** The most that the format allows. */
const maxHeaderBytes = 100_000_000;
const lengthBytes = 8;

/** Bits of a weight. Source: `Dtype` in safetensors/src/tensor.rs */
const bits: ReadonlyMap<string, number> = new Map(
  Object.entries({
    BOOL: 8,
    F4: 4,
    F6_E2M3: 6,
    F6_E3M2: 6,
    U8: 8,
    I8: 8,
    F8_E5M2: 8,
    F8_E4M3: 8,
    F8_E8M0: 8,
    F8_E4M3FNUZ: 8,
    F8_E5M2FNUZ: 8,
    I16: 16,
    U16: 16,
    F16: 16,
    BF16: 16,
    I32: 32,
    U32: 32,
    F32: 32,
    C64: 64,
    F64: 64,
    I64: 64,
    U64: 64,
  }),
);

const entryFields = ["dtype", "shape", "data_offsets"];

/** Whether a file that begins with these bytes may be a safetensors file: eight bytes of length, then JSON. */
export function isSafetensors(head: Uint8Array): boolean {
  return head.length > lengthBytes && head[lengthBytes] === 0x7b;
}

/**
 * Reads a safetensors header. No tensor data is read.
 *
 *     u64      length of the header in bytes
 *     header   JSON, which may end in spaces: { "name": { "dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16] }, ... },
 *              and `__metadata__`, an object of strings; offsets count from the header's end
 *     data     the tensors, without holes or overlaps, to the end of the file
 *
 * @throws FormatError for anything else
 *
 * Source: https://github.com/huggingface/safetensors#format
 */
export async function openSafetensors(source: Source): Promise<Safetensors> {
  const head = await source.read(0, Math.min(lengthBytes + 1, source.size));
  const cursor = new ByteCursor(head, source.name, source.size);
  const length = cursor.size("length of the header");
  const dataStart = lengthBytes + length;
  if (length < 2 || length > maxHeaderBytes || dataStart > source.size) {
    const most = Math.min(maxHeaderBytes, source.size - lengthBytes);
    throw cursor.bad("length of the header", `2 to ${grouped(most)} bytes`, grouped(length));
  }
  if (!isSafetensors(head)) {
    throw new FormatError(
      `Cannot read ${source.name}: not a safetensors file; expected a header that begins with "{", ${describeHead(head)}`,
    );
  }
  const header = parseJson(await source.read(lengthBytes, dataStart), source.name);

  const tensors = new Map<string, StoredTensor>();
  // it begins with a brace: an object, or parsing would have failed
  for (const [name, entry] of header as ReadonlyMap<string, JsonValue>) {
    if (name === "__metadata__") checkMetadata(source, entry);
    else tensors.set(name, readEntry(source, name, entry, dataStart));
  }
  checkLayout(source, tensors, dataStart);
  return { tensors, source };
}

function checkMetadata(source: Source, metadata: JsonValue): void {
  if (isJsonObject(metadata) && [...metadata.values()].every((value) => typeof value === "string")) return;
  throw new FormatError(`Cannot read ${source.name}: __metadata__: expected an object of strings`);
}

function readEntry(source: Source, name: string, entry: JsonValue, dataStart: number): StoredTensor {
  const fail = (expected: string, found: string) =>
    new FormatError(
      `Cannot read ${source.name}: tensor ${quoted(name)}: expected ${expected}, found ${found}`,
    );
  if (!isJsonObject(entry)) throw fail(`an object of ${entryFields.join(", ")}`, kindOf(entry));
  for (const key of entry.keys()) {
    if (!entryFields.includes(key)) throw fail(`only ${entryFields.join(", ")}`, quoted(key));
  }
  const counts = (field: string): readonly bigint[] => {
    const list = entry.get(field);
    if (isJsonArray(list) && list.every((value) => typeof value === "bigint" && value >= 0n)) {
      return list as readonly bigint[];
    }
    const found = isJsonArray(list) ? `[${list.map(kindOf).join(", ")}]` : kindOf(list);
    throw fail(`a ${field} of integers from 0 up`, found);
  };

  const dtype = entry.get("dtype");
  const weightBits = typeof dtype === "string" ? bits.get(dtype) : undefined;
  if (weightBits === undefined) throw fail(`a dtype such as F32, F16 or BF16`, kindOf(dtype));
  const shape = counts("shape");
  const [begin, end, ...more] = counts("data_offsets");
  if (begin === undefined || end === undefined || more.length || end < begin) {
    throw fail("data_offsets [begin, end]", `[${entry.get("data_offsets")}]`);
  }
  const bytes = shape.reduce((product, size) => product * size, BigInt(weightBits));
  if (bytes !== 8n * (end - begin)) {
    throw fail(
      `${grouped(Number(bytes) / 8)} bytes for [${shape.join(", ")}] in ${dtype}`,
      `data_offsets ${grouped(Number(end - begin))} bytes apart`,
    );
  }
  if (end > BigInt(source.size - dataStart)) {
    throw fail(
      `to end at byte ${grouped(source.size - dataStart)} of the data at most`,
      `${grouped(Number(end))}, past the end of the file`,
    );
  }
  return {
    name,
    shape: shape.map(Number),
    type: dtype as string,
    offset: dataStart + Number(begin),
    bytes: Number(end - begin),
  };
}

/** The tensors fill the data one after the other, in whatever order the header lists them. */
function checkLayout(source: Source, tensors: ReadonlyMap<string, StoredTensor>, dataStart: number): void {
  let expected = dataStart;
  const fail = (what: string, found: number, trouble: string) =>
    new FormatError(
      `Cannot read ${source.name}: ${what} at byte ${grouped(expected)}, found ${grouped(found)}: ${trouble}`,
    );
  const inOrder = [...tensors.values()].sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  for (const { name, offset, bytes } of inOrder) {
    if (offset !== expected) {
      const trouble = offset < expected ? "it overlaps another tensor" : "there is a hole before it";
      throw fail(`tensor ${quoted(name)}: expected to start`, offset, trouble);
    }
    expected += bytes;
  }
  if (expected !== source.size) throw fail("expected the end", source.size, "bytes that belong to no tensor");
}
