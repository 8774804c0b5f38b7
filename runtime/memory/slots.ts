import type { ByteCounts } from "./arena.js";
import type { CacheType } from "./choices.js";
import type { WeightType } from "./tensor.js";

// Where the parts of a model lie: addresses in the memory of one stage, as a plan gives them.

/** WebAssembly's. */
export const PAGE_BYTES = 65_536;

/** An f32 tensor. */
export interface TensorSlot {
  readonly address: number;
  readonly shape: readonly number[];
}

/** A packed matrix. */
export interface MatrixSlot {
  readonly address: number;
  readonly type: WeightType;
  readonly rows: number;
  readonly cols: number;
}

/** Rows of a packed matrix that may be cut by rows over several stages: `rows` of them from `firstRow`, a multiple of 8, on. */
export interface RowsSlot extends MatrixSlot {
  readonly firstRow: number;
}

/** The keys, or the values, of a layer: [heads, contextLength] rows of headDim. */
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

/** The end of the model, or of some rows of it where the classifier is cut over several stages. */
export interface HeadSlots {
  readonly norm: TensorSlot; // f32[dim]
  readonly output: RowsSlot; // [rows, dim]; the embedding itself when the model ties them
  readonly logits: TensorSlot; // f32[1, rows]
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
  /** The layers from this index on are streamed: their weights take turns in the same place. */
  readonly streamedFrom: number;
  readonly embedding?: RowsSlot; // [vocabSize, dim], or some of its rows
  readonly head?: HeadSlots;
  readonly rope: TensorSlot; // f32[contextLength, ropeDim / 2, 2]
  readonly scratch: ScratchSlots;
  readonly attention: RegionSlot; // what attention works in, for each thread
  readonly encoded: RegionSlot; // activations as the matrices' kernels read them
  readonly staging: RegionSlot; // rows of a file on their way into a packed matrix
  /** Patterned zones after each slot, in debug plans; empty otherwise. */
  readonly guards: readonly RegionSlot[];
  readonly bytes: ByteCounts;
  /** The memory's size: everything above and the first page, in whole pages. */
  readonly pages: number;
}
