import type { Stage } from "./stage.js";

/** How keys and values are kept. Their rows are described in kernels/lib/cache.ts. */
export const cacheTypes = ["f32", "f16", "q8_0"] as const;
export type CacheType = (typeof cacheTypes)[number];

/** Bytes of one head's keys, or values, at one position. */
export function cacheRowBytes(type: CacheType, headDim: number): number {
  const size = paddedSize(headDim);
  return { f32: 4 * size, f16: 2 * size, q8_0: size + 4 * Math.ceil(size / 32) }[type];
}

/** Bytes that attention needs beside its results, for each thread: four queries, their results and their scores. */
export function attentionScratchBytes(headDim: number, contextLength: number): number {
  return 4 * (2 * 4 * paddedSize(headDim) + 4 * Math.ceil(contextLength / 4) * 4);
}

function paddedSize(headDim: number): number {
  return Math.ceil(headDim / 8) * 8;
}

/** The keys, or the values, of a layer in a stage's memory: [heads, contextLength] rows of headDim. */
export class KvCache {
  constructor(
    readonly stage: Stage,
    readonly address: number,
    readonly type: CacheType,
    readonly heads: number,
    readonly contextLength: number,
    readonly headDim: number,
  ) {}
}
