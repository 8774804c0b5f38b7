import { FormatError } from "../errors.js";
import { ByteCursor, grouped } from "./byte-cursor.js";
import type { Checkpoint, ModelConfig, TensorInfo } from "./checkpoint.js";
import { checkRows, llamaTensors } from "./llama-tensors.js";
import { type ConfigNames, configProblem } from "./model-config.js";
import type { Source } from "./source.js";

/**
 * The checkpoints of karpathy's llama2.c, in its three versions; all little-endian.
 *
 *     v0   7 x i32, then f32 tensors. No magic; a negative vocab_size says that there is a classifier of its own.
 *     v1   magic "ak42" as u32, version i32, 7 x i32, shared_classifier u8; padded to 256; then f32 tensors
 *     v2   like v1 with group_size i32 after shared_classifier; then f32 norms, and matrices as int8 groups
 *
 *     the 7:  dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, max_seq_len
 *
 * Tensors of one kind lie together: every layer's wq, then every layer's wk. A matrix of int8 groups is its weights,
 * i8[rows * cols], and then one f32 scale for each group_size of them, counted through the whole matrix: a group may
 * begin in one row and end in the next. Rows of q and k are in the order of interleaved pairs.
 *
 * Source: export.py (legacy_export, version1_export, version2_export) and run.c of https://github.com/karpathy/llama2.c
 */

const magic = 0x616b3432; // "ak42"
const headerBytes = 256;
const legacyHeaderBytes = 28;

/** Bytes of the file's beginning that `isLlama2c` has to see. */
export const llama2cHeadBytes = headerBytes;

const names: ConfigNames = {
  dim: "dim",
  hiddenDim: "hidden_dim",
  nLayers: "n_layers",
  nHeads: "n_heads",
  nKvHeads: "n_kv_heads",
  headDim: "dim / n_heads",
  ropeDim: "dim / n_heads",
  ropeBase: "RoPE's base",
  normEps: "the norms' epsilon",
  vocabSize: "vocab_size",
  contextLength: "max_seq_len",
};

interface Header {
  readonly version: 0 | 1 | 2;
  readonly config: ModelConfig;
  /** Whether the classifier is the embedding table. */
  readonly tied: boolean;
  /** Weights that share a scale, in version 2. */
  readonly groupSize: number | undefined;
  readonly bytes: number;
}

/** RoPE's tables, which version 0 has between its tensors, and which are computed anew here. */
const ropeTables = "freq_cis_real and freq_cis_imag";
const layerMatrices = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_down", "ffn_up"];
const normsFirst = ["attn_norm", "ffn_norm", "output_norm", "token_embd", ...layerMatrices, "output"];
/** What follows what, by GGUF's names; a layer's tensor stands for those of all layers. */
const order: Readonly<Record<Header["version"], readonly string[]>> = {
  0: [
    "token_embd",
    "attn_norm",
    ...layerMatrices.slice(0, 4),
    "ffn_norm",
    ...layerMatrices.slice(4),
    "output_norm",
    ropeTables,
    "output",
  ],
  1: normsFirst,
  2: normsFirst,
};

/**
 * Whether a file that begins with these bytes is a llama2.c checkpoint. Version 0 has no magic, so a header of its
 * numbers counts when they could be a model's; whether its size goes with them is for `openLlama2c` to say.
 */
export function isLlama2c(head: Uint8Array): boolean {
  const cursor = new ByteCursor(head, "", head.length);
  if (head.length >= 4 && cursor.u32("magic") === magic) return true;
  if (head.length < legacyHeaderBytes) return false;
  cursor.position = 0;
  return configProblem(readLegacyHeader(cursor).config, names) === undefined;
}

/**
 * Opens a llama2.c checkpoint; no weights are read.
 *
 * @throws FormatError when the header's numbers are no model's, or the file's size is not what follows from them
 */
export async function openLlama2c(source: Source): Promise<Checkpoint> {
  const head = await source.read(0, Math.min(headerBytes, source.size));
  const cursor = new ByteCursor(head, source.name, source.size);
  const header = readHeader(cursor);
  const { version, config, groupSize } = header;
  const problem = configProblem(config, names);
  if (problem) throw new FormatError(`Cannot read ${source.name}: llama2.c v${version}: ${problem}`);
  if (groupSize !== undefined && !(groupSize >= 1 && config.dim % groupSize === 0)) {
    // every matrix is dim wide or dim high, so groups of such a size fill it
    throw cursor.bad("group_size", `a divisor of dim ${config.dim}`, String(groupSize));
  }

  const { tensors, end } = layOut(header);
  if (end !== source.size) {
    const { dim, hiddenDim, nLayers, nHeads, nKvHeads, vocabSize, contextLength } = config;
    throw new FormatError(
      `Cannot read ${source.name}: expected ${grouped(end)} bytes of a llama2.c v${version} with dim ${dim}, ` +
        `hidden_dim ${hiddenDim}, n_layers ${nLayers}, n_heads ${nHeads}, n_kv_heads ${nKvHeads}, ` +
        `vocab_size ${vocabSize}, max_seq_len ${contextLength}; found ${grouped(source.size)}`,
    );
  }
  return {
    format: `llama2.c v${version}`,
    architecture: "llama",
    config,
    metadata: new Map(),
    tensors,
    vocabulary: undefined,
    special: config.vocabSize > 2 ? { bos: 1, eos: 2 } : {},
    source,
    async readRows(tensor, begin, end) {
      const { name, shape, offset, storedAs } = tensor;
      checkRows(name, shape, begin, end);
      const cols = shape.at(-1)!;
      if (storedAs && groupSize) return readGroups(source, tensor, groupSize, begin * cols, end * cols);
      return source.read(offset + begin * cols * 4, offset + end * cols * 4);
    },
  };
}

function readHeader(cursor: ByteCursor): Header {
  if (cursor.u32("magic or dim") !== magic) {
    cursor.position = 0;
    return readLegacyHeader(cursor);
  }
  const version = cursor.u32("version");
  if (version !== 1 && version !== 2) throw cursor.bad("version", "1 or 2", String(version | 0));
  const config = readSizes(cursor);
  const shared = cursor.u8("shared_classifier");
  if (shared > 1) throw cursor.bad("shared_classifier", "0 or 1", String(shared));
  const groupSize = version === 2 ? cursor.u32("group_size") | 0 : undefined;
  cursor.take(headerBytes - cursor.position, "the header's padding");
  return { version, config, tied: shared === 1, groupSize, bytes: headerBytes };
}

function readLegacyHeader(cursor: ByteCursor): Header {
  const { vocabSize, ...sizes } = readSizes(cursor);
  const config = { ...sizes, vocabSize: Math.abs(vocabSize) };
  return { version: 0, config, tied: vocabSize > 0, groupSize: undefined, bytes: legacyHeaderBytes };
}

/** The seven sizes as they stand there, and what llama2.c takes for granted. */
function readSizes(cursor: ByteCursor): ModelConfig {
  const i32 = (field: string) => cursor.u32(field) | 0;
  const dim = i32(names.dim);
  const hiddenDim = i32(names.hiddenDim);
  const nLayers = i32(names.nLayers);
  const nHeads = i32(names.nHeads);
  const nKvHeads = i32(names.nKvHeads);
  const vocabSize = i32(names.vocabSize);
  const contextLength = i32(names.contextLength);
  const headDim = dim / nHeads;
  return {
    dim,
    hiddenDim,
    nLayers,
    nHeads,
    nKvHeads,
    headDim,
    kvDim: nKvHeads * headDim,
    ropeDim: headDim,
    ropeBase: 10000,
    normEps: Math.fround(1e-5), // 1e-5f in run.c
    vocabSize,
    contextLength,
  };
}

/** Where each tensor lies, and where the file has to end. */
function layOut({ version, config, tied, groupSize, bytes }: Header): {
  readonly tensors: Map<string, TensorInfo>;
  readonly end: number;
} {
  const shapes = llamaTensors(config, { tied });
  const tensors = new Map<string, TensorInfo>();
  let end = bytes;
  const place = (name: string) => {
    const shape = shapes.get(name);
    if (!shape) return; // output.weight of a tied model
    const weights = shape.reduce((product, size) => product * size, 1);
    const inGroups = groupSize !== undefined && shape.length > 1;
    const size = inGroups ? weights + (weights / groupSize) * 4 : weights * 4;
    const storedAs = inGroups ? { storedAs: `int8 groups of ${groupSize}` } : {};
    tensors.set(name, { name, shape, type: "F32", ...storedAs, offset: end, bytes: size });
    end += size;
  };
  for (const kind of order[version]) {
    if (kind === ropeTables) end += config.contextLength * config.headDim * 4;
    else if (!/^(attn|ffn)_/.test(kind)) place(`${kind}.weight`);
    else for (let layer = 0; layer < config.nLayers; layer++) place(`blk.${layer}.${kind}.weight`);
  }
  return { tensors, end };
}

/** Weights [begin, end) of a matrix of int8 groups, counted through the whole matrix, as the bytes of f32. */
async function readGroups(
  source: Source,
  { shape, offset }: TensorInfo,
  groupSize: number,
  begin: number,
  end: number,
): Promise<Uint8Array> {
  const scalesOffset = offset + shape[0]! * shape[1]!;
  const firstGroup = Math.floor(begin / groupSize);
  const endGroup = Math.ceil(end / groupSize);
  const quants = await source.read(offset + begin, offset + end);
  const scales = await source.read(scalesOffset + firstGroup * 4, scalesOffset + endGroup * 4);

  const scaleView = new DataView(scales.buffer, scales.byteOffset, scales.byteLength);
  const weights = new DataView(new ArrayBuffer((end - begin) * 4));
  for (let group = firstGroup; group < endGroup; group++) {
    const scale = scaleView.getFloat32((group - firstGroup) * 4, true);
    const last = Math.min((group + 1) * groupSize, end);
    for (let i = Math.max(group * groupSize, begin); i < last; i++) {
      const quant = (quants[i - begin]! << 24) >> 24; // as i8
      weights.setFloat32((i - begin) * 4, quant * scale, true);
    }
  }
  return new Uint8Array(weights.buffer);
}
