import type { MetadataValue } from "./checkpoint.js";
import { ggmlTypeNamed } from "./ggml-types.js";
import { type MetadataType, type ValueType, valueTypes } from "./gguf-metadata.js";

/** Where a file is written to, from its beginning to its end. */
export interface Sink {
  /** Resolves when more may be written. The bytes are the sink's to read until then. */
  write(bytes: Uint8Array): Promise<void>;
}

/** A metadata value with the type that it is to have in the file. */
export interface GgufValue {
  readonly type: MetadataType;
  readonly value: MetadataValue;
}

/** A tensor to be written: its entry in the directory, and where its bytes come from. */
export interface GgufOutputTensor {
  readonly name: string;
  /** Outermost dimension first; [cols] is one row. */
  readonly shape: readonly number[];
  /** ggml's name of the type. */
  readonly type: string;
  /** The bytes of rows [begin, end) in that type. */
  rows(begin: number, end: number): Promise<Uint8Array>;
}

export interface WriteGgufOptions {
  /** Called after each piece of a tensor with the bytes written so far, of the whole file's. */
  readonly onProgress?: ((written: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

const alignment = 32;
/** Rows are asked for in pieces that take about so many bytes as f32, or singly. */
const chunkBytes = 4 << 20;

/**
 * Writes a GGUF, version 3, little-endian (layout: gguf.ts): header first, then a few rows of a tensor at a time, so that memory
 * holds one piece whatever the model's size.
 *
 * @returns the file's size in bytes
 * @throws the signal's reason, and what `rows` and the sink throw
 */
export async function writeGguf(
  sink: Sink,
  metadata: ReadonlyMap<string, GgufValue>,
  tensors: readonly GgufOutputTensor[],
  { onProgress, signal }: WriteGgufOptions = {},
): Promise<number> {
  const header = encodeHeader(metadata, tensors);
  const total = tensors.reduce((sum, tensor) => sum + padded(tensorBytes(tensor)), header.length);
  let written = 0;
  const write = async (bytes: Uint8Array) => {
    signal?.throwIfAborted();
    await sink.write(bytes);
    written += bytes.length;
    onProgress?.(written, total);
  };
  await write(header);
  for (const tensor of tensors) {
    const cols = tensor.shape.at(-1)!;
    const rows = tensor.shape.length === 1 ? 1 : tensor.shape[0]!;
    const chunk = Math.max(1, Math.floor(chunkBytes / (4 * cols)));
    for (let row = 0; row < rows; row += chunk)
      await write(await tensor.rows(row, Math.min(row + chunk, rows)));
    const padding = padded(written) - written;
    if (padding) await write(new Uint8Array(padding));
  }
  return written;
}

function tensorBytes({ shape, type }: GgufOutputTensor): number {
  const { blockSize, blockBytes } = ggmlTypeNamed(type);
  return (shape.reduce((product, size) => product * size, 1) / blockSize) * blockBytes;
}

function padded(length: number): number {
  return Math.ceil(length / alignment) * alignment;
}

function encodeHeader(
  metadata: ReadonlyMap<string, GgufValue>,
  tensors: readonly GgufOutputTensor[],
): Uint8Array {
  const out = new ByteWriter();
  out.bytes(new TextEncoder().encode("GGUF"));
  out.u32(3);
  out.u64(tensors.length);
  out.u64(metadata.size);
  for (const [key, { type, value }] of metadata) {
    out.text(key);
    encodeTyped(out, type, value);
  }
  let offset = 0;
  for (const tensor of tensors) {
    const { name, shape, type } = tensor;
    out.text(name);
    out.u32(shape.length);
    for (const size of shape.toReversed()) out.u64(size); // innermost first
    out.u32(ggmlTypeNamed(type).number);
    out.u64(offset);
    offset += padded(tensorBytes(tensor));
  }
  out.bytes(new Uint8Array(padded(out.length) - out.length));
  return out.finish();
}

/** The type's number, for an array those of its elements and their count as well, then the value. */
function encodeTyped(out: ByteWriter, type: MetadataType, value: MetadataValue): void {
  if (!type.endsWith("[]")) {
    out.u32(valueTypes.indexOf(type as ValueType));
    out.value(type as ValueType, value);
    return;
  }
  out.u32(valueTypes.indexOf("array"));
  encodeArray(out, type, value as readonly MetadataValue[]);
}

function encodeArray(out: ByteWriter, type: MetadataType, values: readonly MetadataValue[]): void {
  const elementType = type.slice(0, -2);
  const isNested = elementType.endsWith("[]");
  out.u32(valueTypes.indexOf(isNested ? "array" : (elementType as ValueType)));
  out.u64(values.length);
  for (let i = 0; i < values.length; i++) {
    if (isNested) encodeArray(out, elementType, values[i] as readonly MetadataValue[]);
    else out.value(elementType as ValueType, values[i]!);
  }
}

/** Little-endian values one after the other, into a buffer that grows. */
class ByteWriter {
  length = 0;
  #bytes = new Uint8Array(1 << 16);
  #view = new DataView(this.#bytes.buffer);

  u32(value: number): void {
    this.value("u32", value);
  }

  u64(value: number): void {
    this.value("u64", value);
  }

  text(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.u64(bytes.length);
    this.bytes(bytes);
  }

  value(type: ValueType, value: MetadataValue): void {
    if (type === "string") {
      this.text(value as string);
      return;
    }
    this.#reserve(8);
    this.length += encodeNumber(this.#view, this.length, type, value as number | bigint | boolean);
  }

  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.length);
  }

  #reserve(more: number): void {
    if (this.length + more <= this.#bytes.length) return;
    const larger = new Uint8Array(2 * (this.length + more));
    larger.set(this.#bytes);
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }
}

/** Writes a number, and returns how many bytes it took. */
function encodeNumber(view: DataView, at: number, type: ValueType, value: number | bigint | boolean): number {
  switch (type) {
    case "u8":
    case "bool":
      view.setUint8(at, Number(value));
      return 1;
    case "i8":
      view.setInt8(at, Number(value));
      return 1;
    case "u16":
      view.setUint16(at, Number(value), true);
      return 2;
    case "i16":
      view.setInt16(at, Number(value), true);
      return 2;
    case "u32":
      view.setUint32(at, Number(value), true);
      return 4;
    case "i32":
      view.setInt32(at, Number(value), true);
      return 4;
    case "f32":
      view.setFloat32(at, Number(value), true);
      return 4;
    case "u64":
      view.setBigUint64(at, BigInt(value), true);
      return 8;
    case "i64":
      view.setBigInt64(at, BigInt(value), true);
      return 8;
    case "f64":
      view.setFloat64(at, Number(value), true);
      return 8;
    default:
      throw new TypeError(`Cannot write a GGUF: expected a type of numbers, found ${type}`);
  }
}
