import { OutOfMemoryError } from "../errors.js";
import type { Checkpoint, ModelConfig, TensorInfo } from "../formats/checkpoint.js";
import { rowBytes, type TensorType } from "../formats/tensor-types.js";
import { FIRST_PAGE_BYTES } from "./kernel-module.js";
import { attentionScratchBytes, type CacheType, cacheRowBytes } from "./kv-cache.js";
import { encodedBytes, packedBytes, type WeightType } from "./tensor.js";

/** Where an f32 tensor lies in its stage. */
export interface TensorSlot {
  readonly address: number;
  readonly shape: readonly number[];
}

/** Where a packed matrix lies in its stage. */
export interface MatrixSlot {
  readonly address: number;
  readonly type: WeightType;
  readonly rows: number;
  readonly cols: number;
}

/** Where the keys, or the values, of a layer lie: [heads, contextLength] rows of headDim. */
export interface CacheSlot {
  readonly address: number;
  readonly type: CacheType;
  readonly heads: number;
  readonly contextLength: number;
  readonly headDim: number;
}

/** A region of bytes. */
export interface RegionSlot {
  readonly address: number;
  readonly bytes: number;
}

/** One transformer block: its weights, and the keys and values of every position so far. */
export interface LayerSlots {
  readonly attnNorm: TensorSlot; // f32[dim]
  readonly attnQ: MatrixSlot; // [nHeads * headDim, dim]
  readonly attnK: MatrixSlot; // [kvDim, dim]
  readonly attnV: MatrixSlot; // [kvDim, dim]
  readonly attnOutput: MatrixSlot; // [dim, nHeads * headDim]
  readonly ffnNorm: TensorSlot; // f32[dim]
  readonly ffnGate: MatrixSlot; // [hiddenDim, dim]
  readonly ffnUp: MatrixSlot; // [hiddenDim, dim]
  readonly ffnDown: MatrixSlot; // [dim, hiddenDim]
  readonly keys: CacheSlot; // [nKvHeads, contextLength, headDim]
  readonly values: CacheSlot; // [nKvHeads, contextLength, headDim]
}

/** Activations of up to `batch` positions. */
export interface ScratchSlots {
  readonly x: TensorSlot; // f32[batch, dim], the residual stream
  readonly xn: TensorSlot; // f32[batch, dim], normalized
  readonly q: TensorSlot; // f32[batch, nHeads, headDim]
  readonly k: TensorSlot; // f32[batch, nKvHeads, headDim]
  readonly v: TensorSlot; // f32[batch, nKvHeads, headDim]
  readonly attended: TensorSlot; // f32[batch, nHeads, headDim]
  readonly gate: TensorSlot; // f32[batch, hiddenDim]
  readonly up: TensorSlot; // f32[batch, hiddenDim]
  readonly delta: TensorSlot; // f32[batch, dim], what a block adds to the residual stream
}

/** What lies where in one stage: one memory, a run of consecutive layers, their cache and scratch. */
export interface StagePlan {
  /** Number of the first layer here. */
  readonly firstLayer: number;
  readonly layers: readonly LayerSlots[];
  readonly embedding?: MatrixSlot; // [vocabSize, dim]
  readonly outputNorm?: TensorSlot; // f32[dim]
  readonly output?: MatrixSlot; // [vocabSize, dim]; the embedding itself when the model ties them
  readonly logits?: TensorSlot; // f32[1, vocabSize]
  readonly rope: TensorSlot; // f32[contextLength, ropeDim / 2, 2]
  readonly scratch: ScratchSlots;
  readonly attention: RegionSlot; // what attention works in, for each thread
  readonly encoded: RegionSlot; // activations as the matrices' kernels read them
  readonly staging: RegionSlot; // rows of a file on their way into a packed matrix
  /** Patterned zones after each slot, in debug plans; empty otherwise. */
  readonly guards: readonly RegionSlot[];
  readonly bytes: { readonly weights: number; readonly cache: number; readonly scratch: number };
  /** The memory's size: everything above and the first page, in whole pages. */
  readonly pages: number;
}

export interface Plan {
  readonly stages: readonly StagePlan[];
  readonly contextLength: number;
  readonly cacheType: CacheType;
  /** Positions that one call of forward takes at most. */
  readonly batch: number;
  /** Sum over the stages, in bytes. */
  readonly totalBytes: number;
}

export interface PlanOptions {
  /** Positions that the cache holds. */
  readonly contextLength: number;
  /** How keys and values are kept. Default f16. */
  readonly cacheType?: CacheType | undefined;
  /** Threads that compute, each with its own room for attention. Default 1. */
  readonly threads?: number | undefined;
  /** Positions that forward takes at once. Default 64, or the context where that is shorter. */
  readonly batch?: number;
  /** Most bytes of one stage. Default 4 GiB less a page, the most that a loop `p < end` can reach the end of. */
  readonly maxStageBytes?: number;
  /** Bytes of patterned zone after each slot. Default 0; the debug build's tests use 64. */
  readonly guardBytes?: number;
}

const DEFAULT_CACHE_TYPE: CacheType = "f16";
const PAGE = 65_536;
const MAX_STAGE_BYTES = 2 ** 32 - PAGE;
/** Slots start at cache lines. */
const ALIGNMENT = 64;
/** Enough that reading a file is not slowed by the number of reads, and that threads can share the packing; eight rows where those are more. */
const STAGING_BYTES = 2 ** 22;

/** The layouts that tensors of a file are packed to, all without loss. */
export const packedAs: Record<TensorType, WeightType> = {
  F32: "f32",
  BF16: "f32",
  F16: "f16",
  Q8_0: "q8_0",
  Q4_0: "q4_0",
  Q4_1: "q4_1",
  Q5_0: "q8_0",
  Q5_1: "q5_1",
  IQ4_NL: "q8_0",
  Q2_K: "q2_k",
  Q3_K: "q6_k",
  Q4_K: "q4_k",
  Q5_K: "q5_k",
  Q6_K: "q6_k",
};

/** A part of the model that must lie in one stage: a layer by its number, or an end. */
type Part = "embedding" | "output" | number;

/**
 * Lays a model over as many stages as it needs, from the checkpoint's header alone: nothing is allocated or read.
 * Throws OutOfMemoryError, with the numbers, when one part is larger than a stage can be.
 */
export function planModel(checkpoint: Checkpoint, options: PlanOptions): Plan {
  const limit = options.maxStageBytes ?? MAX_STAGE_BYTES;
  const layers = Array.from({ length: checkpoint.config.nLayers }, (_, i) => i);
  const parts: Part[] = ["embedding", ...layers, "output"];
  const batch = Math.min(options.batch ?? 64, options.contextLength);

  const lay = (from: number, to: number) => planStage(checkpoint, parts.slice(from, to), batch, options);
  const fits = (stage: StagePlan) => stage.pages * PAGE <= limit;

  const stages: StagePlan[] = [];
  for (let from = 0; from < parts.length; ) {
    // as many parts as fit: more of them never take less, so the number can be found by halving
    let stage = lay(from, from + 1);
    if (!fits(stage)) {
      throw new OutOfMemoryError(
        `Cannot plan ${checkpoint.source.name}: ${describe(parts[from]!)} needs ${stage.pages * PAGE} bytes with its cache and scratch, a stage holds ${limit}`,
      );
    }
    let to = from + 1;
    for (let tooMany = parts.length + 1; tooMany - to > 1; ) {
      const middle = (to + tooMany) >> 1;
      const wider = lay(from, middle);
      if (fits(wider)) {
        stage = wider;
        to = middle;
      } else tooMany = middle;
    }
    stages.push(stage);
    from = to;
  }
  const totalBytes = stages.reduce((sum, stage) => sum + stage.pages * PAGE, 0);
  return {
    stages,
    contextLength: options.contextLength,
    cacheType: options.cacheType ?? DEFAULT_CACHE_TYPE,
    batch,
    totalBytes,
  };
}

/** The packed types of a plan's matrices, those that take the most bytes first. */
export function packedTypes({ stages }: Plan): WeightType[] {
  const bytes = new Map<WeightType, number>();
  for (const { layers, embedding, output } of stages) {
    const slots = [embedding, output, ...layers.flatMap((layer): object[] => Object.values(layer))];
    // a set, since a tied classifier is the embedding
    for (const slot of new Set(slots)) {
      if (!slot || !isMatrix(slot)) continue;
      bytes.set(slot.type, (bytes.get(slot.type) ?? 0) + packedBytes(slot.type, slot.rows, slot.cols));
    }
  }
  return [...bytes.keys()].sort((a, b) => bytes.get(b)! - bytes.get(a)!);
}

function isMatrix(slot: object): slot is MatrixSlot {
  return "rows" in slot;
}

function describe(part: Part): string {
  return typeof part === "number" ? `layer ${part}` : `the ${part}`;
}

/** A matrix of the checkpoint by its name. Checkpoints hold all tensors that their config asks for. */
function tensorOf(checkpoint: Checkpoint, name: string): TensorInfo {
  const tensor = checkpoint.tensors.get(name);
  if (!tensor) throw new TypeError(`Cannot plan ${checkpoint.source.name}: it has no tensor ${name}`);
  return tensor;
}

/** Lays the given parts into one memory, slot after slot. */
function planStage(
  checkpoint: Checkpoint,
  parts: readonly Part[],
  batch: number,
  options: PlanOptions,
): StagePlan {
  const { config } = checkpoint;
  const { contextLength, guardBytes = 0, cacheType = DEFAULT_CACHE_TYPE, threads = 1 } = options;
  const bytes = { weights: 0, cache: 0, scratch: 0 };
  const guards: RegionSlot[] = [];
  let end = FIRST_PAGE_BYTES;

  const reserve = (kind: keyof typeof bytes, size: number): number => {
    const address = end;
    end = Math.ceil((end + size) / ALIGNMENT) * ALIGNMENT;
    bytes[kind] += end - address;
    if (guardBytes) {
      guards.push({ address: address + size, bytes: end - address - size + guardBytes });
      end += guardBytes;
    }
    return address;
  };
  const tensor = (kind: keyof typeof bytes, ...shape: number[]): TensorSlot => ({
    address: reserve(kind, 4 * shape.reduce((product, size) => product * size, 1)),
    shape,
  });

  const cache = (): CacheSlot => {
    const { nKvHeads: heads, headDim } = config;
    const address = reserve("cache", heads * contextLength * cacheRowBytes(cacheType, headDim));
    return { address, type: cacheType, heads, contextLength, headDim };
  };

  let encodedMost = 0;
  let stagingMost = 0;
  const matrix = (name: string): MatrixSlot => {
    const { type, shape } = tensorOf(checkpoint, name);
    const [rows, cols] = shape as [number, number];
    const packed = packedAs[type];
    encodedMost = Math.max(encodedMost, encodedBytes(packed, cols));
    const bytes = rowBytes(type, cols);
    stagingMost = Math.max(stagingMost, 8 * bytes, Math.min(rows * bytes, STAGING_BYTES));
    return { address: reserve("weights", packedBytes(packed, rows, cols)), type: packed, rows, cols };
  };

  const tied = !checkpoint.tensors.has("output.weight");
  const first = parts.find((part) => typeof part === "number");
  const embedding = parts.includes("embedding") ? matrix("token_embd.weight") : undefined;
  const layers = parts
    .filter((part) => typeof part === "number")
    .map((i): LayerSlots => planLayer(config, `blk.${i}.`, tensor, matrix, cache));
  // a tied classifier is the embedding, so the logits are made where that is
  const makesLogits = tied ? embedding !== undefined : parts.includes("output");
  const output = tied ? embedding : makesLogits ? matrix("output.weight") : undefined;

  const { dim, hiddenDim, nHeads, nKvHeads, headDim, ropeDim, vocabSize } = config;
  const attentionBytes = threads * attentionScratchBytes(headDim, contextLength);
  const plan = {
    firstLayer: first ?? 0,
    layers,
    ...(embedding && { embedding }),
    ...(output && {
      output,
      outputNorm: tensor("weights", dim),
      logits: tensor("scratch", 1, vocabSize),
    }),
    rope: tensor("scratch", contextLength, ropeDim / 2, 2),
    scratch: {
      x: tensor("scratch", batch, dim),
      xn: tensor("scratch", batch, dim),
      q: tensor("scratch", batch, nHeads, headDim),
      k: tensor("scratch", batch, nKvHeads, headDim),
      v: tensor("scratch", batch, nKvHeads, headDim),
      attended: tensor("scratch", batch, nHeads, headDim),
      gate: tensor("scratch", batch, hiddenDim),
      up: tensor("scratch", batch, hiddenDim),
      delta: tensor("scratch", batch, dim),
    },
    attention: { bytes: attentionBytes, address: reserve("scratch", attentionBytes) },
    encoded: { bytes: batch * encodedMost, address: reserve("scratch", batch * encodedMost) },
    staging: { bytes: stagingMost, address: reserve("scratch", stagingMost) },
    guards,
    bytes,
  };
  return { ...plan, pages: Math.ceil(end / PAGE) };
}

function planLayer(
  { dim }: ModelConfig,
  prefix: string,
  tensor: (kind: "weights", ...shape: number[]) => TensorSlot,
  matrix: (name: string) => MatrixSlot,
  cache: () => CacheSlot,
): LayerSlots {
  return {
    attnNorm: tensor("weights", dim),
    attnQ: matrix(`${prefix}attn_q.weight`),
    attnK: matrix(`${prefix}attn_k.weight`),
    attnV: matrix(`${prefix}attn_v.weight`),
    attnOutput: matrix(`${prefix}attn_output.weight`),
    ffnNorm: tensor("weights", dim),
    ffnGate: matrix(`${prefix}ffn_gate.weight`),
    ffnUp: matrix(`${prefix}ffn_up.weight`),
    ffnDown: matrix(`${prefix}ffn_down.weight`),
    keys: cache(),
    values: cache(),
  };
}
