import { mulAdd, sum4 } from "./lib/inline";
import { softmax } from "./softmax";

/**
 * Causal attention of a run of positions over the cache, grouped-query heads:
 *
 *   out[t, h] = sum over i <= position + t of softmax_i(q[t, h] . keys[h / headsPerKv, i] * scale) values[h / headsPerKv, i]
 *
 *   out     f32[positions, heads, headDim]
 *   q       f32[positions, heads, headDim]
 *   keys    f32[heads / headsPerKv, contextLength, headDim]
 *   values  f32[heads / headsPerKv, contextLength, headDim]
 *   scores  f32[contextLength]   scratch
 *
 * Computes heads [headBegin, headEnd). headDim is even; keys after the query's position are not touched.
 * Each score is summed in four lanes (dimension mod 4), and the values are added in the order of their positions.
 */
export function attention_f32(
  out: usize,
  q: usize,
  keys: usize,
  values: usize,
  scores: usize,
  headBegin: usize,
  headEnd: usize,
  heads: usize,
  headsPerKv: usize,
  headDim: usize,
  contextLength: usize,
  position: usize,
  positions: usize,
  scale: f32,
): void {
  assert(headDim % 2 === 0 && headsPerKv > 0 && position + positions <= contextLength);
  const headBytes = headDim << 2;
  const cacheBytes = contextLength * headBytes;
  for (let t: usize = 0; t < positions; t++) {
    const visible = position + t + 1;
    for (let head = headBegin; head < headEnd; head++) {
      const offset = (t * heads + head) * headBytes;
      const cache = (head / headsPerKv) * cacheBytes;
      score(scores, q + offset, keys + cache, visible, headDim, scale);
      softmax(scores, visible);
      weigh(out + offset, scores, values + cache, visible, headDim);
    }
  }
}

/** scores[i] = q . keys[i] * scale, four keys at a time: four independent chains of additions. */
function score(scores: usize, q: usize, keys: usize, count: usize, headDim: usize, scale: f32): void {
  const headBytes = headDim << 2;
  const end4 = headBytes & ~15;
  let i: usize = 0;
  for (; i + 4 <= count; i += 4) {
    const k0 = keys + i * headBytes;
    const k1 = k0 + headBytes;
    const k2 = k1 + headBytes;
    const k3 = k2 + headBytes;
    let s0 = f32x4.splat(0);
    let s1 = s0;
    let s2 = s0;
    let s3 = s0;
    let d: usize = 0;
    for (; d < end4; d += 16) {
      const v = v128.load(q + d);
      s0 = mulAdd(v128.load(k0 + d), v, s0);
      s1 = mulAdd(v128.load(k1 + d), v, s1);
      s2 = mulAdd(v128.load(k2 + d), v, s2);
      s3 = mulAdd(v128.load(k3 + d), v, s3);
    }
    if (d < headBytes) {
      const v = v128.load64_zero(q + d);
      s0 = mulAdd(v128.load64_zero(k0 + d), v, s0);
      s1 = mulAdd(v128.load64_zero(k1 + d), v, s1);
      s2 = mulAdd(v128.load64_zero(k2 + d), v, s2);
      s3 = mulAdd(v128.load64_zero(k3 + d), v, s3);
    }
    store<f32>(scores + (i << 2), sum4(s0) * scale);
    store<f32>(scores + (i << 2), sum4(s1) * scale, 4);
    store<f32>(scores + (i << 2), sum4(s2) * scale, 8);
    store<f32>(scores + (i << 2), sum4(s3) * scale, 12);
  }
  for (; i < count; i++) {
    const k = keys + i * headBytes;
    let s = f32x4.splat(0);
    let d: usize = 0;
    for (; d < end4; d += 16) s = mulAdd(v128.load(k + d), v128.load(q + d), s);
    if (d < headBytes) s = mulAdd(v128.load64_zero(k + d), v128.load64_zero(q + d), s);
    store<f32>(scores + (i << 2), sum4(s) * scale);
  }
}

/** out = sum of weights[i] values[i]; the values are read in their order in memory, four positions at a time. */
function weigh(out: usize, weights: usize, values: usize, count: usize, headDim: usize): void {
  const headBytes = headDim << 2;
  const end4 = headBytes & ~15;
  memory.fill(out, 0, headBytes);
  let i: usize = 0;
  for (; i + 4 <= count; i += 4) {
    const w0 = v128.load32_splat(weights + (i << 2));
    const w1 = v128.load32_splat(weights + (i << 2), 4);
    const w2 = v128.load32_splat(weights + (i << 2), 8);
    const w3 = v128.load32_splat(weights + (i << 2), 12);
    const v0 = values + i * headBytes;
    const v1 = v0 + headBytes;
    const v2 = v1 + headBytes;
    const v3 = v2 + headBytes;
    let d: usize = 0;
    for (; d < end4; d += 16) {
      let s = v128.load(out + d);
      s = mulAdd(v128.load(v0 + d), w0, s);
      s = mulAdd(v128.load(v1 + d), w1, s);
      s = mulAdd(v128.load(v2 + d), w2, s);
      s = mulAdd(v128.load(v3 + d), w3, s);
      v128.store(out + d, s);
    }
    if (d < headBytes) {
      let s = v128.load64_zero(out + d);
      s = mulAdd(v128.load64_zero(v0 + d), w0, s);
      s = mulAdd(v128.load64_zero(v1 + d), w1, s);
      s = mulAdd(v128.load64_zero(v2 + d), w2, s);
      s = mulAdd(v128.load64_zero(v3 + d), w3, s);
      v128.store64_lane(out + d, s, 0);
    }
  }
  for (; i < count; i++) {
    const w = v128.load32_splat(weights + (i << 2));
    const v = values + i * headBytes;
    let d: usize = 0;
    for (; d < end4; d += 16) v128.store(out + d, mulAdd(v128.load(v + d), w, v128.load(out + d)));
    if (d < headBytes)
      v128.store64_lane(out + d, mulAdd(v128.load64_zero(v + d), w, v128.load64_zero(out + d)), 0);
  }
}
