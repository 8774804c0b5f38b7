import type { Checkpoint, Vocabulary } from "../runtime/formats/checkpoint.js";

/** What a GGUF file says before its data, as plain data. It is not checked, so that tests can write bad files. */
export interface GgufHeader {
  /** In the order they are written. Entries instead of a record can write a key twice. */
  readonly metadata: Record<string, GgufValue> | readonly (readonly [string, GgufValue])[];
  readonly tensors: readonly GgufTensorEntry[];
  /** Written as `general.alignment` too, when given. Default 32, and not written. */
  readonly alignment?: number;
  /** Default 3. */
  readonly version?: number;
}

/** Everything a GGUF file holds. */
export interface GgufContents extends GgufHeader {
  readonly tensors: readonly GgufTensorData[];
}

export interface GgufValue {
  /** `u8 i8 u16 i16 u32 i32 u64 i64 f32 f64 bool string`, and arrays of these: `f32[]`, `string[]`, `u8[][]`. */
  readonly type: string;
  readonly value: unknown;
}

/** What the header says of a tensor. */
export interface GgufTensorEntry {
  readonly name: string;
  /** Outermost dimension first, as everywhere in the runtime; the file has them the other way round. */
  readonly shape: readonly (number | bigint)[];
  /** ggml's name of the type (one of `typeNumbers`), or its number in the file. */
  readonly type: string | number;
  /** Only how many they are counts for the header. */
  readonly bytes: { readonly length: number };
  /** Where it claims to start in the data section. Default: after the tensor before it, aligned. */
  readonly offset?: number | bigint;
}

export interface GgufTensorData extends GgufTensorEntry {
  readonly bytes: Uint8Array;
}

/** Numbers of metadata types. Source: enum gguf_metadata_value_type in the GGUF specification. */
const valueNumbers: Record<string, number> = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  string: 8,
  array: 9,
  u64: 10,
  i64: 11,
  f64: 12,
};

/** Numbers of tensor types. Source: enum ggml_type in ggml.h. */
const typeNumbers: Record<string, number> = {
  F32: 0,
  F16: 1,
  Q4_0: 2,
  Q4_1: 3,
  Q5_0: 6,
  Q5_1: 7,
  Q8_0: 8,
  Q2_K: 10,
  Q3_K: 11,
  Q4_K: 12,
  Q5_K: 13,
  Q6_K: 14,
  IQ4_NL: 20,
  IQ4_XS: 23,
  I32: 26,
  BF16: 30,
};

/** The bytes of a GGUF file with these contents. Each tensor is padded to the alignment, as llama.cpp requires. */
export function writeGguf(contents: GgufContents): Uint8Array {
  const header = writeGgufHeader(contents);
  const alignment = contents.alignment ?? 32;
  let size = header.length;
  for (const { bytes } of contents.tensors) size += padded(bytes.length, alignment);

  const file = new Uint8Array(size);
  file.set(header);
  let at = header.length;
  for (const { bytes } of contents.tensors) {
    file.set(bytes, at);
    at += padded(bytes.length, alignment);
  }
  return file;
}

/** Everything up to where the data section starts; the tensors' bytes follow, each padded to the alignment. */
export function writeGgufHeader(contents: GgufHeader): Uint8Array {
  const { tensors, alignment = 32, version = 3 } = contents;
  const metadata: (readonly [string, GgufValue])[] = Array.isArray(contents.metadata)
    ? [...contents.metadata]
    : Object.entries(contents.metadata);
  if (contents.alignment !== undefined) {
    metadata.push(["general.alignment", { type: "u32", value: contents.alignment }]);
  }

  const out = new ByteWriter();
  out.bytes(new TextEncoder().encode("GGUF"));
  out.number("u32", version);
  out.number("u64", tensors.length);
  out.number("u64", metadata.length);
  for (const [key, { type, value }] of metadata) {
    out.string(key);
    out.number("u32", type.endsWith("[]") ? valueNumbers.array! : valueNumbers[type]!);
    writeValue(out, type, value);
  }
  let offset = 0;
  for (const tensor of tensors) {
    out.string(tensor.name);
    out.number("u32", tensor.shape.length);
    for (const size of [...tensor.shape].reverse()) out.number("u64", size);
    const type = typeof tensor.type === "number" ? tensor.type : typeNumbers[tensor.type];
    if (type === undefined) throw new TypeError(`writeGguf knows no number for the type ${tensor.type}`);
    out.number("u32", type);
    out.number("u64", tensor.offset ?? offset);
    offset += padded(tensor.bytes.length, alignment);
  }
  out.bytes(new Uint8Array(padded(out.length, alignment) - out.length));
  return out.finish();
}

function writeValue(out: ByteWriter, type: string, value: unknown): void {
  if (type.endsWith("[]")) {
    const elementType = type.slice(0, -2);
    const elements = Array.from(value as ArrayLike<unknown>);
    out.number("u32", elementType.endsWith("[]") ? valueNumbers.array! : valueNumbers[elementType]!);
    out.number("u64", elements.length);
    for (const element of elements) writeValue(out, elementType, element);
  } else if (type === "string") {
    out.string(value as string);
  } else {
    out.number(type, value as number | bigint | boolean);
  }
}

export function padded(length: number, alignment: number): number {
  return Math.ceil(length / alignment) * alignment;
}

/** Little-endian values one after the other, into a buffer that grows. */
class ByteWriter {
  length = 0;
  #bytes = new Uint8Array(1 << 16);
  #view = new DataView(this.#bytes.buffer);

  number(type: string, value: number | bigint | boolean): void {
    const writer = writers[type];
    if (!writer) throw new TypeError(`writeGguf knows no metadata type ${type}`);
    this.#reserve(writer.size);
    writer.write(this.#view, this.length, value);
    this.length += writer.size;
  }

  string(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.number("u64", bytes.length);
    this.bytes(bytes);
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

/** How a value of each type is written, and in how many bytes. */
const writers: Record<
  string,
  {
    readonly size: number;
    readonly write: (view: DataView, at: number, value: number | bigint | boolean) => void;
  }
> = {
  u8: { size: 1, write: (view, at, value) => view.setUint8(at, Number(value)) },
  i8: { size: 1, write: (view, at, value) => view.setInt8(at, Number(value)) },
  bool: { size: 1, write: (view, at, value) => view.setUint8(at, Number(value)) },
  u16: { size: 2, write: (view, at, value) => view.setUint16(at, Number(value), true) },
  i16: { size: 2, write: (view, at, value) => view.setInt16(at, Number(value), true) },
  u32: { size: 4, write: (view, at, value) => view.setUint32(at, Number(value), true) },
  i32: { size: 4, write: (view, at, value) => view.setInt32(at, Number(value), true) },
  f32: { size: 4, write: (view, at, value) => view.setFloat32(at, Number(value), true) },
  u64: { size: 8, write: (view, at, value) => view.setBigUint64(at, BigInt(value), true) },
  i64: { size: 8, write: (view, at, value) => view.setBigInt64(at, BigInt(value), true) },
  f64: { size: 8, write: (view, at, value) => view.setFloat64(at, Number(value), true) },
};

/**
 * A complete GGUF of a checkpoint, such as `randomCheckpoint` makes: llama.cpp loads it, and so do we.
 *
 * @param changes metadata to write instead; undefined leaves a key out
 */
export async function checkpointToGguf(
  checkpoint: Checkpoint,
  vocabulary: Vocabulary,
  changes: Record<string, GgufValue | undefined> = {},
): Promise<Uint8Array> {
  const metadata = Object.entries({ ...llamaMetadata(checkpoint.config, vocabulary), ...changes }).filter(
    (pair): pair is [string, GgufValue] => pair[1] !== undefined,
  );
  return writeGguf({ metadata, tensors: await tensorData(checkpoint) });
}

/** A checkpoint's tensors with their bytes. */
export async function tensorData(checkpoint: Checkpoint): Promise<GgufTensorData[]> {
  const tensors: GgufTensorData[] = [];
  for (const tensor of checkpoint.tensors.values()) {
    const rows = tensor.shape.length === 1 ? 1 : tensor.shape[0]!;
    const bytes = await checkpoint.readRows(tensor, 0, rows);
    tensors.push({ name: tensor.name, shape: tensor.shape, type: tensor.type, bytes });
  }
  return tensors;
}

/** The metadata that llama.cpp asks of a llama model, with a SentencePiece vocabulary. */
export function llamaMetadata(
  config: Checkpoint["config"],
  vocabulary: Vocabulary,
): Record<string, GgufValue> {
  const u32 = (value: number): GgufValue => ({ type: "u32", value });
  const f32 = (value: number): GgufValue => ({ type: "f32", value });
  const { tokens, scores, types, bos, eos, unk, eot, addBos, addEos, addSpacePrefix } = vocabulary;
  return {
    "general.architecture": { type: "string", value: "llama" },
    "general.name": { type: "string", value: "test model" },
    "llama.vocab_size": u32(config.vocabSize),
    "llama.context_length": u32(config.contextLength),
    "llama.embedding_length": u32(config.dim),
    "llama.block_count": u32(config.nLayers),
    "llama.feed_forward_length": u32(config.hiddenDim),
    "llama.attention.head_count": u32(config.nHeads),
    "llama.attention.head_count_kv": u32(config.nKvHeads),
    "llama.attention.key_length": u32(config.headDim),
    "llama.attention.value_length": u32(config.headDim),
    "llama.attention.layer_norm_rms_epsilon": f32(config.normEps),
    "llama.rope.dimension_count": u32(config.ropeDim),
    "llama.rope.freq_base": f32(config.ropeBase),
    "tokenizer.ggml.model": { type: "string", value: vocabulary.model },
    "tokenizer.ggml.tokens": { type: "string[]", value: tokens },
    ...(scores && { "tokenizer.ggml.scores": { type: "f32[]", value: scores } }),
    ...(types && { "tokenizer.ggml.token_type": { type: "i32[]", value: types } }),
    ...(bos !== undefined && { "tokenizer.ggml.bos_token_id": u32(bos) }),
    ...(eos !== undefined && { "tokenizer.ggml.eos_token_id": u32(eos) }),
    ...(unk !== undefined && { "tokenizer.ggml.unknown_token_id": u32(unk) }),
    ...(eot !== undefined && { "tokenizer.ggml.eot_token_id": u32(eot) }),
    ...(addBos !== undefined && { "tokenizer.ggml.add_bos_token": { type: "bool", value: addBos } }),
    ...(addEos !== undefined && { "tokenizer.ggml.add_eos_token": { type: "bool", value: addEos } }),
    ...(addSpacePrefix !== undefined && {
      "tokenizer.ggml.add_space_prefix": { type: "bool", value: addSpacePrefix },
    }),
  };
}

/**
 * A SentencePiece vocabulary of `size` pieces in the order of Llama 2's: <unk>, <s>, </s>, the 256 bytes, then pieces
 * that are all different. llama.cpp wants all the bytes, so 259 pieces at least; we take fewer.
 */
export function plainVocabulary(size: number): Vocabulary {
  const [normal, unknown, control, byte] = [1, 2, 3, 6];
  const tokens = ["<unk>", "<s>", "</s>"];
  for (let i = 0; i < 256 && tokens.length < size; i++) {
    tokens.push(`<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`);
  }
  while (tokens.length < size) tokens.push(`▁${tokens.length.toString(36)}`);
  return {
    model: "llama",
    tokens,
    scores: Float32Array.from(tokens, (_, id) => (id < 259 ? 0 : 258 - id)),
    types: Int32Array.from(tokens, (_, id) =>
      id === 0 ? unknown : id < 3 ? control : id < 259 ? byte : normal,
    ),
    bos: 1,
    eos: 2,
    unk: 0,
    addBos: true,
    addEos: false,
  };
}
