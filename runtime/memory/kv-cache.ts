import { halfToNumber } from "../formats/floats.js";
import type { CacheType } from "./choices.js";
import type { Stage } from "./stage.js";

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

  /** A copy of what is kept of a head at positions 0 to count - 1, f32[count, headDim]. */
  rows(head: number, count: number): Float32Array<ArrayBuffer> {
    const { headDim, type } = this;
    const bytes = cacheRowBytes(type, headDim);
    const first = this.address + head * this.contextLength * bytes;
    const read = readers[type];
    const rows = new Float32Array(count * headDim);
    for (let t = 0; t < count; t++) {
      const row = new DataView(this.stage.memory.buffer, first + t * bytes, bytes);
      for (let d = 0; d < headDim; d++) rows[t * headDim + d] = read(row, d, headDim);
    }
    return rows;
  }
}

/** Dimension d of a row. */
const readers: Record<CacheType, (row: DataView, d: number, headDim: number) => number> = {
  f32: (row, d) => row.getFloat32(4 * d, true),
  f16: (row, d) => halfToNumber(row.getUint16(2 * d, true)),
  q8_0: (row, d, headDim) => row.getInt8(d) * row.getFloat32(paddedSize(headDim) + 4 * (d >> 5), true),
};
