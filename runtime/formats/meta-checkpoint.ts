import { FormatError, ModelError, UnsupportedError } from "../errors.js";
import { grouped, quoted } from "./byte-cursor.js";
import type { Checkpoint, ModelConfig, TensorInfo } from "./checkpoint.js";
import { isComputable } from "./ggml-types.js";
import { fieldReader } from "./hf-config.js";
import { joinSources } from "./join-sources.js";
import { bindTensors, checkRows, readStoredRows, type StoredTensor } from "./llama-tensors.js";
import { type ConfigNames, configProblem } from "./model-config.js";
import { type PickledTensor, readTensorPickle } from "./pickle.js";
import { baseName, type Source } from "./source.js";
import { isJsonObject, type JsonObject, type JsonValue, readJsonObject } from "./strict-json.js";
import { rowBytes, tensorTypes } from "./tensor-types.js";
import { locateZipEntry, readZipDirectory, type ZipEntry } from "./zip.js";

/**
 * Meta's release of Llama 2, a folder of
 *
 *     params.json             sizes
 *     consolidated.00.pth     weights, a PyTorch archive: a zip of a pickle (data.pkl) and a file for each storage
 *     consolidated.01.pth     the larger models are cut into shards, for as many GPUs
 *     tokenizer.model         beside it or a folder above
 *
 * Each shard has a part of every matrix: rows of those whose outputs were divided among the GPUs, columns of those whose inputs were.
 * Rows of q and k are in the order of interleaved pairs.
 *
 * Source: https://github.com/meta-llama/llama (llama/model.py: ColumnParallelLinear, RowParallelLinear, ParallelEmbedding)
 */
const paramsFile = "params.json";

/** Meta's names; those of a layer come after `layers.N.`. `along` is the dimension that is cut into shards: 0 rows, 1 columns. */
const outerTensors: Readonly<Record<string, { readonly name: string; readonly along?: 0 | 1 }>> = {
  "token_embd.weight": { name: "tok_embeddings.weight", along: 1 },
  "output_norm.weight": { name: "norm.weight" },
  "output.weight": { name: "output.weight", along: 0 },
};
const layerTensors: typeof outerTensors = {
  "attn_norm.weight": { name: "attention_norm.weight" },
  "attn_q.weight": { name: "attention.wq.weight", along: 0 },
  "attn_k.weight": { name: "attention.wk.weight", along: 0 },
  "attn_v.weight": { name: "attention.wv.weight", along: 0 },
  "attn_output.weight": { name: "attention.wo.weight", along: 1 },
  "ffn_norm.weight": { name: "ffn_norm.weight" },
  "ffn_gate.weight": { name: "feed_forward.w1.weight", along: 0 },
  "ffn_up.weight": { name: "feed_forward.w3.weight", along: 0 },
  "ffn_down.weight": { name: "feed_forward.w2.weight", along: 1 },
};

/** RoPE's frequencies, which follow from the config. */
const computedTensor = "rope.freqs";

const keys: ConfigNames = {
  dim: "dim",
  hiddenDim: "feed_forward.w1's rows",
  nLayers: "n_layers",
  nHeads: "n_heads",
  nKvHeads: "n_kv_heads",
  headDim: "dim / n_heads",
  ropeDim: "dim / n_heads",
  ropeBase: "rope_theta",
  normEps: "norm_eps",
  vocabSize: "vocab_size",
  contextLength: "the context's length",
};

/** Keys that say nothing which the tensors do not say, or nothing about the text. */
const ignoredKeys = ["multiple_of", "ffn_dim_multiplier", "max_batch_size", "max_seq_len"];

/** The most shards that are looked for: Llama 2 70B has 8. */
const maxShards = 64;
/** Those of the largest shards take some 200 KB. */
const maxPickleBytes = 1 << 24;

/** The types of PyTorch's storages that are computed with. */
const storageTypes: Readonly<Record<string, string>> = { Float: "F32", Half: "F16", BFloat16: "BF16" };

/** Whether a JSON file is such a params.json. */
export function isMetaParams(json: JsonValue): boolean {
  return isJsonObject(json) && json.has(keys.dim) && json.has(keys.nLayers);
}

/**
 * Opens Meta's form of a Llama, by its params.json or any shard. The pickles in it are read, never run.
 *
 * @param source one of the folder's files, from which the others are reached
 * @throws FormatError for damaged files, shards that do not go together, and pickles of anything but tensors
 * @throws ModelError for a config that is impossible or contradicts the tensors
 * @throws UnsupportedError for what this runtime does not compute
 */
export async function openMeta(source: Source): Promise<Checkpoint> {
  const open = async (name: string) => (baseName(source.name) === name ? source : source.sibling?.(name));
  const params = await open(paramsFile);
  if (!params)
    throw new FormatError(`Cannot open ${source.name}: expected a ${paramsFile} beside it, found none`);
  const json = await readJsonObject(params);
  const shards: Shard[] = [];
  while (shards.length < maxShards) {
    const name = `consolidated.${String(shards.length).padStart(2, "0")}.pth`;
    const file = await open(name);
    if (!file && shards.length === 0) {
      throw new FormatError(`Cannot open ${source.name}: expected ${name} beside it, found none`);
    }
    if (!file) break;
    shards.push(await openShard(file));
  }
  const stored = mergeDirectories(shards, json, params.name);
  const config = readConfig(json, params.name, stored);
  const tensors = bindTensors(config, {
    sourceName: params.name,
    stored,
    storedName,
    tied: false,
    featureOf: () => undefined,
  });
  return {
    format: shards.length === 1 ? "Meta's PyTorch file" : `Meta's PyTorch files, in ${shards.length} shards`,
    architecture: "llama",
    config,
    metadata: new Map(),
    tensors,
    vocabulary: undefined,
    special: config.vocabSize > 2 ? { bos: 1, eos: 2 } : {}, // those of its tokenizer.model
    source: joinSources(
      shards.map(({ source }) => source),
      params.name,
    ),
    readRows: (tensor, begin, end) => readMergedRows(shards, tensor, begin, end),
  };
}

interface Shard {
  readonly source: Source;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

async function openShard(source: Source): Promise<Shard> {
  const entries = await readZipDirectory(source);
  const pickles = [...entries.values()].filter(({ name }) => /^[^/]+\/data\.pkl$/.test(name));
  const pickle = pickles[0];
  if (!pickle || pickles.length > 1) {
    throw new FormatError(
      `Cannot read ${source.name}: expected a data.pkl in the archive, found ${pickles.length}`,
    );
  }
  if (pickle.bytes > maxPickleBytes) {
    throw new FormatError(
      `Cannot read ${source.name}: expected a data.pkl of at most ${grouped(maxPickleBytes)} bytes, found ${grouped(pickle.bytes)}`,
    );
  }
  const { offset, bytes } = await locateZipEntry(source, pickle);
  const pickled = readTensorPickle(await source.read(offset, offset + bytes), `${source.name}: data.pkl`);
  const folder = pickle.name.slice(0, -"data.pkl".length);
  const tensors = new Map<string, StoredTensor>();
  for (const [name, tensor] of pickled) {
    if (name === computedTensor) continue;
    const entry = entries.get(`${folder}data/${tensor.storage.key}`);
    tensors.set(name, await locateTensor(source, name, tensor, entry));
  }
  return { source, tensors };
}

/** A pickled tensor's place in the archive: rows one after the other, within its storage. */
async function locateTensor(
  source: Source,
  name: string,
  { storage, offset, shape, strides }: PickledTensor,
  entry: ZipEntry | undefined,
): Promise<StoredTensor> {
  const fail = (problem: string) => new FormatError(`Cannot read ${source.name}: ${name}: ${problem}`);
  const type = storageTypes[storage.type];
  if (!type || !isComputable(type)) {
    const known = Object.keys(storageTypes).join(", ");
    throw new UnsupportedError(
      `Cannot load ${source.name}: ${name}: weights of type ${quoted(storage.type)} are not supported, ${known} are`,
    );
  }
  const { blockBytes } = tensorTypes[type];
  if (!entry) throw fail(`expected its storage ${quoted(storage.key)} in the archive, found no such file`);
  if (entry.bytes !== storage.elements * blockBytes) {
    throw fail(
      `expected ${grouped(storage.elements * blockBytes)} bytes in its storage, found ${grouped(entry.bytes)}`,
    );
  }
  let elements = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (strides[i] !== elements && shape[i] !== 1)
      throw fail("expected rows one after the other, found others");
    elements *= shape[i]!;
  }
  if (strides.length !== shape.length || !(offset + elements <= storage.elements)) {
    throw fail(`expected [${shape.join(", ")}] within a storage of ${grouped(storage.elements)}, found more`);
  }
  const located = await locateZipEntry(source, entry);
  return { name, shape, type, offset: located.offset + offset * blockBytes, bytes: elements * blockBytes };
}

/** The tensors as they were before they were cut into shards. */
function mergeDirectories(
  shards: readonly Shard[],
  json: JsonObject,
  paramsName: string,
): Map<string, StoredTensor> {
  const [first, ...others] = shards as readonly [Shard, ...Shard[]];
  const dim = fieldReader(json, paramsName).integer(keys.dim);
  const merged = new Map<string, StoredTensor>();
  for (const [name, tensor] of first.tensors) {
    for (const { source, tensors } of others) {
      const part = tensors.get(name);
      if (part?.type !== tensor.type || String(part.shape) !== String(tensor.shape)) {
        const found = part ? `${part.type} [${part.shape.join(", ")}]` : "none";
        throw new FormatError(
          `Cannot read ${source.name}: ${name}: expected ${tensor.type} [${tensor.shape.join(", ")}], as in ${first.source.name}, found ${found}`,
        );
      }
    }
    merged.set(name, mergedTensor(tensor, shards.length, dim));
  }
  for (const { source, tensors } of others) {
    const extra = [...tensors.keys()].find((name) => !merged.has(name));
    if (extra) {
      throw new FormatError(
        `Cannot read ${source.name}: ${quoted(extra)}: expected in every shard, found here only`,
      );
    }
  }
  return merged;
}

function mergedTensor(tensor: StoredTensor, shards: number, dim: number): StoredTensor {
  const along = cutAlong(tensor, shards, dim);
  if (along === undefined) return tensor;
  const shape = tensor.shape.map((size, i) => (i === along ? size * shards : size));
  return { ...tensor, shape, bytes: tensor.bytes * shards };
}

/** The dimension that a tensor of these shards was cut along. Llama 2 cuts the embedding's columns, its successors cut rows. */
function cutAlong({ name, shape }: StoredTensor, shards: number, dim: number): 0 | 1 | undefined {
  if (shards === 1 || shape.length !== 2) return undefined;
  if (name === outerTensors["token_embd.weight"]!.name) return shape[1] === dim ? 0 : 1;
  const known = [...Object.values(outerTensors), ...Object.values(layerTensors)];
  return known.find((tensor) => name === tensor.name || name.endsWith(`.${tensor.name}`))?.along;
}

function readConfig(json: JsonObject, name: string, stored: ReadonlyMap<string, StoredTensor>): ModelConfig {
  for (const [key, value] of json) {
    const isNeutral = value === null || value === false;
    if (Object.values<string>(keys).includes(key) || ignoredKeys.includes(key) || isNeutral) continue;
    throw new UnsupportedError(
      `Cannot load ${name}: ${key}: this key is not known here, and to pass over it could mean wrong text`,
    );
  }
  const fields = fieldReader(json, name);
  const dim = fields.integer(keys.dim);
  const nHeads = fields.integer(keys.nHeads);
  const nKvHeads = fields.integer(keys.nKvHeads, nHeads);
  const headDim = dim / nHeads;
  const rowsOf = (tensor: string) => stored.get(tensor)?.shape[0] ?? 0;
  const vocabSize = fields.integer(keys.vocabSize, -1);
  const ropeBase = Math.fround(fields.number(keys.ropeBase, 10000));
  const normEps = fields.number(keys.normEps);
  const config: ModelConfig = {
    dim,
    hiddenDim: rowsOf(storedName("blk.0.ffn_gate.weight")),
    nLayers: fields.integer(keys.nLayers),
    nHeads,
    nKvHeads,
    headDim,
    kvDim: nKvHeads * headDim,
    ropeDim: headDim,
    ropeBase,
    normEps: Math.fround(normEps),
    vocabSize: vocabSize === -1 ? rowsOf(storedName("output.weight")) : vocabSize, // "as the tokenizer has"
    contextLength: trainedContext(ropeBase, normEps),
  };
  const problem = configProblem(config, keys);
  if (problem) throw new ModelError(`Cannot load ${name}: ${problem}`);
  return config;
}

/** What the file does not say is told by what differs: Code Llama has another base, Llama 1 another epsilon. (llama.cpp goes by the same.) */
function trainedContext(ropeBase: number, normEps: number): number {
  if (ropeBase === 1e6) return 16384;
  return normEps === 1e-5 ? 4096 : 2048;
}

/** `layers.3.attention.wq.weight` for `blk.3.attn_q.weight`. */
function storedName(name: string): string {
  const [, layer, rest] = /^blk\.(\d+)\.(.+)$/.exec(name) ?? [];
  return layer === undefined ? outerTensors[name]!.name : `layers.${layer}.${layerTensors[rest!]!.name}`;
}

/** Rows of a tensor whose parts lie in the shards: some rows of each, or some columns of every row. */
async function readMergedRows(
  shards: readonly Shard[],
  tensor: TensorInfo,
  begin: number,
  end: number,
): Promise<Uint8Array> {
  const { name, shape, type } = tensor;
  checkRows(name, shape, begin, end);
  const parts = shards.map(({ source, tensors }) => {
    const part = tensors.get(storedName(name))!;
    return { source, part: { ...part, type } };
  });
  const { source, part } = parts[0]!;
  if (String(part.shape) === String(shape)) return readStoredRows(source, part, begin, end);

  const stride = rowBytes(type, shape[1]!);
  const bytes = new Uint8Array((end - begin) * stride);
  const [rows, cols] = part.shape as [number, number];
  for (const [i, { source, part }] of parts.entries()) {
    if (cols === shape[1]) {
      const from = Math.max(begin, i * rows);
      const to = Math.min(end, (i + 1) * rows);
      if (from >= to) continue;
      bytes.set(await readStoredRows(source, part, from - i * rows, to - i * rows), (from - begin) * stride);
      continue;
    }
    const width = rowBytes(type, cols);
    const piece = await readStoredRows(source, part, begin, end);
    for (let row = 0; row < end - begin; row++) {
      bytes.set(piece.subarray(row * width, (row + 1) * width), row * stride + i * width);
    }
  }
  return bytes;
}
