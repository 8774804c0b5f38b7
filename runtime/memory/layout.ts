import type { Checkpoint, TensorInfo } from "../formats/checkpoint.js";
import { rowBytes, type TensorType } from "../formats/tensor-types.js";
import { Arena } from "./arena.js";
import type { CacheType } from "./choices.js";
import { FIRST_PAGE_BYTES } from "./kernel-module.js";
import { attentionScratchBytes, cacheRowBytes } from "./kv-cache.js";
import {
  type CacheSlot,
  type LayerSlots,
  type MatrixSlot,
  PAGE_BYTES,
  type RowsSlot,
  type StagePlan,
} from "./slots.js";
import { encodedBytes, packedBytes, type WeightType } from "./tensor.js";

const DEFAULT_CACHE_TYPE: CacheType = "f16";
const DEFAULT_BATCH = 64;
/** Where each pass reads a disk, more positions share one reading: at 2 GB/s and 16 cores about as long as it takes to compute them. */
const STREAMING_BATCH = 256;
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

/** The tensor of a file behind each of a layer's weights; the rest of the name is ".weight". */
export const layerNames = {
  attnNorm: "attn_norm",
  attnQ: "attn_q",
  attnK: "attn_k",
  attnV: "attn_v",
  attnOutput: "attn_output",
  ffnNorm: "ffn_norm",
  ffnGate: "ffn_gate",
  ffnUp: "ffn_up",
  ffnDown: "ffn_down",
} as const;

export interface LayoutOptions {
  /** Positions that the cache holds. */
  readonly contextLength: number;
  /** How keys and values are kept. Default f16. */
  readonly cacheType?: CacheType | undefined;
  /** Threads that compute, each with its own room for attention. Default 1. */
  readonly threads?: number | undefined;
  /** Positions that forward takes at once. Default 64, with streamed layers 256, or the context where that is shorter. */
  readonly batch?: number | undefined;
  /** How many layers, the last ones, are not kept but read for each pass. Default 0. */
  readonly streamedLayers?: number | undefined;
  /** Bytes of patterned zone after each slot, a multiple of 64. Default 0; the debug build's tests use 64. */
  readonly guardBytes?: number | undefined;
}

/** What must lie in one stage: a layer, or rows of an end. */
export type Part =
  | { readonly kind: "layer"; readonly layer: number; readonly streamed: boolean }
  | { readonly kind: "embedding" | "output"; readonly begin: number; readonly end: number };

/** How each part of a model is laid into a stage, and what that takes. */
export class Layout {
  readonly batch: number;
  readonly cacheType: CacheType;
  /** Whether the classifier is the embedding. */
  readonly tied: boolean;
  /** What every stage takes besides its parts. */
  readonly fixedBytes: number;
  /** The place in which the weights of a stage's streamed layers take turns. */
  readonly streamingBytes: number;
  /** The file's bytes of the largest layer. */
  readonly readAheadBytes: number;
  readonly #streamedBytes: number;
  readonly #encodedBytes: number;
  readonly #stagingBytes: number;
  readonly #options: LayoutOptions;
  readonly #layerBytes = new Map<string, number>();

  constructor(
    readonly checkpoint: Checkpoint,
    options: LayoutOptions,
  ) {
    const { tensors, config } = checkpoint;
    const { contextLength, streamedLayers = 0 } = options;
    this.#options = options;
    const batch = options.batch ?? (streamedLayers ? STREAMING_BATCH : DEFAULT_BATCH);
    this.batch = Math.min(batch, contextLength);
    this.cacheType = options.cacheType ?? DEFAULT_CACHE_TYPE;
    this.tied = !tensors.has("output.weight");

    let encoded = 0;
    let staging = 0;
    for (const { type, shape } of tensors.values()) {
      if (shape.length < 2) continue;
      const [rows, cols] = shape as [number, number];
      const bytes = rowBytes(type, cols);
      encoded = Math.max(encoded, encodedBytes(packedAs[type], cols));
      staging = Math.max(staging, 8 * bytes, Math.min(rows * bytes, STAGING_BYTES));
    }
    this.#encodedBytes = encoded;
    this.#stagingBytes = staging;

    const streamed = Array.from({ length: streamedLayers }, (_, i) => config.nLayers - 1 - i);
    this.#streamedBytes = Math.max(0, ...streamed.map((layer) => this.#weightBytes(layer)));
    this.streamingBytes = this.#measure((arena) => arena.reserve("weights", this.#streamedBytes));
    this.readAheadBytes = Math.max(0, ...streamed.map((layer) => this.#fileBytes(layer)));
    this.fixedBytes = FIRST_PAGE_BYTES + this.#measure((arena) => this.#scratch(arena));
  }

  /** What a part takes in its stage; of a streamed layer that is its cache only. */
  partBytes(part: Part): number {
    if (part.kind !== "layer") return this.#measure((arena) => this.#end(arena, part));
    // layers of the same types take the same
    const types = this.#layerTensors(part.layer).map(({ type }) => type);
    const key = `${part.streamed} ${types}`;
    let bytes = this.#layerBytes.get(key);
    if (bytes === undefined) {
      const streaming = new Arena(0, 0);
      bytes = this.#measure((arena) => this.#layer(part.layer, part.streamed ? streaming : arena, arena));
      this.#layerBytes.set(key, bytes);
    }
    return bytes;
  }

  /** Lays parts into one memory, slot after slot. */
  stage(parts: readonly Part[]): StagePlan {
    const arena = this.#arena(FIRST_PAGE_BYTES);
    let firstLayer: number | undefined;
    let streamedFrom: number | undefined;
    let streaming = 0;
    const layers: LayerSlots[] = [];
    let ends: Pick<StagePlan, "embedding" | "head"> = {};
    for (const part of parts) {
      if (part.kind !== "layer") {
        ends = { ...ends, ...this.#end(arena, part) };
        continue;
      }
      firstLayer ??= part.layer;
      if (part.streamed && streamedFrom === undefined) {
        streamedFrom = layers.length;
        streaming = arena.reserve("weights", this.#streamedBytes);
      }
      layers.push(this.#layer(part.layer, part.streamed ? new Arena(streaming, 0) : arena, arena));
    }
    const stage = {
      firstLayer: firstLayer ?? 0,
      layers,
      streamedFrom: streamedFrom ?? layers.length,
      ...ends,
      ...this.#scratch(arena),
      guards: arena.guards,
      bytes: arena.bytes,
    };
    return { ...stage, pages: Math.ceil(arena.end / PAGE_BYTES) };
  }

  #arena(begin: number): Arena {
    return new Arena(begin, this.#options.guardBytes ?? 0);
  }

  #measure(lay: (arena: Arena) => void): number {
    const arena = this.#arena(0);
    lay(arena);
    return arena.end;
  }

  #weightBytes(layer: number): number {
    const weights = new Arena(0, 0);
    this.#layer(layer, weights, new Arena(0, 0));
    return weights.end;
  }

  #fileBytes(layer: number): number {
    return this.#layerTensors(layer).reduce((sum, { bytes }) => sum + bytes, 0);
  }

  #layerTensors(layer: number): TensorInfo[] {
    return Object.values(layerNames).map((name) => this.#tensor(`blk.${layer}.${name}.weight`));
  }

  /** A tensor of the checkpoint by its name. Checkpoints hold all tensors that their config asks for. */
  #tensor(name: string): TensorInfo {
    const { tensors, source } = this.checkpoint;
    const tensor = tensors.get(name);
    if (!tensor) throw new TypeError(`Cannot plan ${source.name}: it has no tensor ${name}`);
    return tensor;
  }

  /** Rows [begin, end) of a matrix. */
  #rows(arena: Arena, name: string, begin: number, end: number): RowsSlot {
    const { type: stored, shape } = this.#tensor(name);
    const cols = shape[1]!;
    const type = packedAs[stored];
    const rows = end - begin;
    return {
      address: arena.reserve("weights", packedBytes(type, rows, cols)),
      type,
      rows,
      cols,
      firstRow: begin,
    };
  }

  /** Rows of the embedding, of the classifier, or of what is both. */
  #end(
    arena: Arena,
    { kind, begin, end }: Extract<Part, { begin: number }>,
  ): Pick<StagePlan, "embedding" | "head"> {
    const name = kind === "embedding" ? "token_embd.weight" : "output.weight";
    const rows = this.#rows(arena, name, begin, end);
    const embedding = kind === "embedding" ? { embedding: rows } : {};
    if (kind === "embedding" && !this.tied) return embedding;
    const norm = arena.tensor("weights", this.checkpoint.config.dim);
    return { ...embedding, head: { norm, output: rows, logits: arena.tensor("scratch", 1, end - begin) } };
  }

  /** A layer's weights into one arena, its keys and values into another, or the same. */
  #layer(layer: number, weights: Arena, kept: Arena): LayerSlots {
    const { dim, nKvHeads: heads, headDim } = this.checkpoint.config;
    const { contextLength } = this.#options;
    const type = this.cacheType;
    const norm = () => weights.tensor("weights", dim);
    const matrix = (part: string): MatrixSlot => {
      const name = `blk.${layer}.${part}.weight`;
      const { firstRow: _, ...slot } = this.#rows(weights, name, 0, this.#tensor(name).shape[0]!);
      return slot;
    };
    const cache = (): CacheSlot => {
      const address = kept.reserve("cache", heads * contextLength * cacheRowBytes(type, headDim));
      return { address, type, heads, contextLength, headDim };
    };
    return {
      attnNorm: norm(),
      attnQ: matrix(layerNames.attnQ),
      attnK: matrix(layerNames.attnK),
      attnV: matrix(layerNames.attnV),
      attnOutput: matrix(layerNames.attnOutput),
      ffnNorm: norm(),
      ffnGate: matrix(layerNames.ffnGate),
      ffnUp: matrix(layerNames.ffnUp),
      ffnDown: matrix(layerNames.ffnDown),
      keys: cache(),
      values: cache(),
    };
  }

  /** What every stage has. */
  #scratch(arena: Arena): Pick<StagePlan, "rope" | "scratch" | "attention" | "encoded" | "staging"> {
    const { dim, hiddenDim, nHeads, nKvHeads, headDim, ropeDim } = this.checkpoint.config;
    const { contextLength, threads = 1 } = this.#options;
    const { batch } = this;
    return {
      rope: arena.tensor("scratch", contextLength, ropeDim / 2, 2),
      scratch: {
        x: arena.tensor("scratch", batch, dim),
        xn: arena.tensor("scratch", batch, dim),
        q: arena.tensor("scratch", batch, nHeads, headDim),
        k: arena.tensor("scratch", batch, nKvHeads, headDim),
        v: arena.tensor("scratch", batch, nKvHeads, headDim),
        attended: arena.tensor("scratch", batch, nHeads, headDim),
        gate: arena.tensor("scratch", batch, hiddenDim),
        up: arena.tensor("scratch", batch, hiddenDim),
        delta: arena.tensor("scratch", batch, dim),
      },
      attention: arena.region("scratch", threads * attentionScratchBytes(headDim, contextLength)),
      encoded: arena.region("scratch", batch * this.#encodedBytes),
      staging: arena.region("scratch", this.#stagingBytes),
    };
  }
}
