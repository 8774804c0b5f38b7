import { expOfNegative } from "../math.js";
import type { KvCache } from "../memory/kv-cache.js";
import type { Tensor } from "../memory/tensor.js";

/**
 * weights[i, h] = softmax(q[i, h] . keys[h / headsPerKv] / sqrt(headDim)) over the positions up to position + i; 0 after it
 *
 *   weights  f32[n, nHeads, position + n]
 *   q        f32[n, nHeads, headDim]
 *   keys     [nKvHeads, contextLength, headDim]
 *
 * What ops.attend weighs the values with, for who wants to look: in plain float64, and so within rounding of the kernel's float32.
 */
export function attentionWeights(q: Tensor, keys: KvCache, position: number): Float32Array<ArrayBuffer> {
  const [n, nHeads, headDim] = q.shape as [number, number, number];
  const length = position + n;
  const queries = q.view();
  const weights = new Float32Array(n * nHeads * length);
  const headsPerKv = nHeads / keys.heads;
  for (let kvHead = 0; kvHead < keys.heads; kvHead++) {
    const k = keys.rows(kvHead, length);
    for (let i = 0; i < n; i++) {
      for (let head = kvHead * headsPerKv; head < (kvHead + 1) * headsPerKv; head++) {
        const row = i * nHeads + head;
        const query = queries.subarray(row * headDim, (row + 1) * headDim);
        weights.set(softmax(scores(query, k, position + i + 1)), row * length);
      }
    }
  }
  return weights;
}

/** query . keys[t] / sqrt(headDim) for t < count;  query f32[headDim], keys f32[.., headDim] */
function scores(query: Float32Array, keys: Float32Array, count: number): Float64Array {
  const headDim = query.length;
  return Float64Array.from({ length: count }, (_, t) => {
    let dot = 0;
    for (let d = 0; d < headDim; d++) dot += query[d]! * keys[t * headDim + d]!;
    return dot / Math.sqrt(headDim);
  });
}

/** In place. */
function softmax(x: Float64Array): Float64Array {
  let max = Number.NEGATIVE_INFINITY;
  for (const value of x) max = Math.max(max, value);
  let sum = 0;
  for (let i = 0; i < x.length; i++) {
    x[i] = expOfNegative(x[i]! - max);
    sum += x[i]!;
  }
  for (let i = 0; i < x.length; i++) x[i]! /= sum;
  return x;
}
