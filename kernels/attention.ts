import { cached4, dimensions4, paddedSize, rowBytes, sums4 } from "./lib/cache";
import { mulAdd, sum4, TWO_112 } from "./lib/inline";
import { softmax } from "./softmax";

// Causal attention of a run of positions over the cache, grouped-query heads:
//
//   out[t, h] = sum over i <= position + t of softmax_i(q[t, h] . keys[h / headsPerKv, i] * scale) values[h / headsPerKv, i]
//
//   out      f32[positions, heads, headDim]
//   q        f32[positions, heads, headDim]
//   keys     [heads / headsPerKv, contextLength] rows (see lib/cache.ts)
//   values   [heads / headsPerKv, contextLength] rows
//   scratch  f32[2, size, 4], four queries and their results, then f32[4, contextLength], their scores; contextLength is rounded up
//            to 4, and size is headDim rounded up to 8
//
// The queries that share a kv head, position after position, are taken four at a time: a unit. Each key and value is then converted
// to f32 once for four queries. A call computes units [unitBegin, unitEnd) of heads / headsPerKv * ceil(positions * headsPerKv / 4).
// headDim is even; keys after a query's own position are not touched.
//
// A result does not depend on how queries are grouped: each score is summed in four lanes (dimension mod 4), and the values are added in
// the order of their positions.

/** Queries of a unit. */
const QUERIES: usize = 4;
/** Positions whose values stay in the first cache while dimension after dimension is summed over them: 32 KiB with heads of 256 in f32. */
const BLOCK: usize = 32;

export function attention_f32(
  out: usize,
  q: usize,
  keys: usize,
  values: usize,
  scratch: usize,
  unitBegin: usize,
  unitEnd: usize,
  heads: usize,
  headsPerKv: usize,
  headDim: usize,
  contextLength: usize,
  position: usize,
  positions: usize,
  scale: f32,
): void {
  // biome-ignore format: the same list three times
  attend<f32>(out, q, keys, values, scratch, unitBegin, unitEnd, heads, headsPerKv,
    headDim, contextLength, position, positions, scale);
}

export function attention_f16(
  out: usize,
  q: usize,
  keys: usize,
  values: usize,
  scratch: usize,
  unitBegin: usize,
  unitEnd: usize,
  heads: usize,
  headsPerKv: usize,
  headDim: usize,
  contextLength: usize,
  position: usize,
  positions: usize,
  scale: f32,
): void {
  // biome-ignore format: the same list three times
  attend<u16>(out, q, keys, values, scratch, unitBegin, unitEnd, heads, headsPerKv,
    headDim, contextLength, position, positions, scale);
}

export function attention_q8_0(
  out: usize,
  q: usize,
  keys: usize,
  values: usize,
  scratch: usize,
  unitBegin: usize,
  unitEnd: usize,
  heads: usize,
  headsPerKv: usize,
  headDim: usize,
  contextLength: usize,
  position: usize,
  positions: usize,
  scale: f32,
): void {
  // biome-ignore format: the same list three times
  attend<i8>(out, q, keys, values, scratch, unitBegin, unitEnd, heads, headsPerKv,
    headDim, contextLength, position, positions, scale);
}

function attend<T>(
  out: usize,
  q: usize,
  keys: usize,
  values: usize,
  scratch: usize,
  unitBegin: usize,
  unitEnd: usize,
  heads: usize,
  headsPerKv: usize,
  headDim: usize,
  contextLength: usize,
  position: usize,
  positions: usize,
  scale: f32,
): void {
  assert(headDim % 2 === 0 && headsPerKv > 0 && position + positions <= contextLength);
  const size = paddedSize(headDim);
  const cacheBytes = contextLength * rowBytes<T>(size);
  const stride = scoreBytes(contextLength);
  const queries = positions * headsPerKv;
  const units = (queries + QUERIES - 1) / QUERIES;
  const results = scratch + tileBytes(headDim);
  const scores = results + tileBytes(headDim);

  for (let unit = unitBegin; unit < unitEnd; unit++) {
    const kvHead = unit / units;
    const first = (unit % units) * QUERIES;
    const end = min(first + QUERIES, queries);
    const cache = kvHead * cacheBytes;

    memory.fill(scratch, 0, 2 * tileBytes(headDim));
    for (let query = first; query < end; query++) {
      const head = (query / headsPerKv) * heads + kvHead * headsPerKv + (query % headsPerKv);
      loadQuery(scratch + ((query - first) << 4), q + head * (headDim << 2), headDim, scale);
    }

    // pairs of positions that all of them see; the rest goes query by query
    const common = end - first > 1 ? (position + first / headsPerKv + 1) & ~1 : 0;
    scoreFour<T>(scores, stride, scratch, keys + cache, common, size);
    for (let query = first; query < end; query++) {
      const row = scores + (query - first) * stride;
      const visible = position + query / headsPerKv + 1;
      scoreOne<T>(row, scratch + ((query - first) << 4), keys + cache, common, visible, size);
      softmax(row, visible);
    }

    weighFour<T>(results, scores, stride, values + cache, common, size);
    for (let query = first; query < end; query++) {
      const row = scores + (query - first) * stride;
      const result = results + ((query - first) << 4);
      weighOne<T>(result, row, values + cache, common, position + query / headsPerKv + 1, size);
      const head = (query / headsPerKv) * heads + kvHead * headsPerKv + (query % headsPerKv);
      storeResult(out + head * (headDim << 2), result, headDim);
    }
  }
}

// Four queries, or their results, lie as a tile: f32[size / 4, 4 queries, 4 dimensions]. What belongs to one of them begins at
// 16 times its number and goes on after 64 bytes.

function tileBytes(headDim: usize): usize {
  return QUERIES * (paddedSize(headDim) << 2);
}

function scoreBytes(contextLength: usize): usize {
  return ((contextLength + 3) & ~3) << 2;
}

function loadQuery(tile: usize, q: usize, headDim: usize, scale: f32): void {
  const scale4 = f32x4.splat(scale);
  for (let d: usize = 0; d < headDim; d += 4) {
    v128.store(tile + (d << 4), f32x4.mul(dimensions4(q + (d << 2), headDim - d), scale4));
  }
}

function storeResult(out: usize, tile: usize, headDim: usize): void {
  for (let d: usize = 0; d < headDim; d += 4) {
    const v = v128.load(tile + (d << 4));
    if (headDim - d >= 4) v128.store(out + (d << 2), v);
    else v128.store64_lane(out + (d << 2), v, 0);
  }
}

/** scores[query, i] = queries[query] . keys[i] for i < count, an even number: two keys x four queries at a time. */
function scoreFour<T>(
  scores: usize,
  stride: usize,
  queries: usize,
  keys: usize,
  count: usize,
  size: usize,
): void {
  const mask = i32x4.splat(0x8fffe000);
  const rebias = f32x4.splat(TWO_112);
  const bytes = rowBytes<T>(size);
  for (let i: usize = 0; i < count; i += 2) {
    const k = keys + i * bytes;
    let a0 = f32x4.splat(0);
    let a1 = a0;
    let a2 = a0;
    let a3 = a0;
    let b0 = a0;
    let b1 = a0;
    let b2 = a0;
    let b3 = a0;
    let q = queries;
    for (let d: usize = 0; d < size; d += 4) {
      const x = cached4<T>(k, d, size, mask, rebias);
      const y = cached4<T>(k + bytes, d, size, mask, rebias);
      const q0 = v128.load(q);
      const q1 = v128.load(q, 16);
      const q2 = v128.load(q, 32);
      const q3 = v128.load(q, 48);
      a0 = mulAdd(x, q0, a0);
      b0 = mulAdd(y, q0, b0);
      a1 = mulAdd(x, q1, a1);
      b1 = mulAdd(y, q1, b1);
      a2 = mulAdd(x, q2, a2);
      b2 = mulAdd(y, q2, b2);
      a3 = mulAdd(x, q3, a3);
      b3 = mulAdd(y, q3, b3);
      q += 64;
    }
    const s01 = sums4(a0, b0, a1, b1);
    const s23 = sums4(a2, b2, a3, b3);
    const o = scores + (i << 2);
    v128.store64_lane(o, s01, 0);
    v128.store64_lane(o + stride, s01, 1);
    v128.store64_lane(o + 2 * stride, s23, 0);
    v128.store64_lane(o + 3 * stride, s23, 1);
  }
}

/** scores[i] = query . keys[i] for i from begin to end - 1, four keys at a time: four chains of additions. */
function scoreOne<T>(scores: usize, query: usize, keys: usize, begin: usize, end: usize, size: usize): void {
  const mask = i32x4.splat(0x8fffe000);
  const rebias = f32x4.splat(TWO_112);
  const bytes = rowBytes<T>(size);
  let k = keys + begin * bytes;
  let i = begin;
  for (; i + 4 <= end; i += 4) {
    let s0 = f32x4.splat(0);
    let s1 = s0;
    let s2 = s0;
    let s3 = s0;
    let q = query;
    for (let d: usize = 0; d < size; d += 4) {
      const v = v128.load(q);
      s0 = mulAdd(cached4<T>(k, d, size, mask, rebias), v, s0);
      s1 = mulAdd(cached4<T>(k + bytes, d, size, mask, rebias), v, s1);
      s2 = mulAdd(cached4<T>(k + 2 * bytes, d, size, mask, rebias), v, s2);
      s3 = mulAdd(cached4<T>(k + 3 * bytes, d, size, mask, rebias), v, s3);
      q += 64;
    }
    v128.store(scores + (i << 2), sums4(s0, s1, s2, s3));
    k += bytes << 2;
  }
  for (; i < end; i++) {
    let s = f32x4.splat(0);
    let q = query;
    for (let d: usize = 0; d < size; d += 4) {
      s = mulAdd(cached4<T>(k, d, size, mask, rebias), v128.load(q), s);
      q += 64;
    }
    store<f32>(scores + (i << 2), sum4(s));
    k += bytes;
  }
}

/**
 * results[query] += sum over i < count of weights[query, i] values[i]: eight dimensions x four queries at a time, block after block of
 * positions, so that the values come from memory in their order.
 */
function weighFour<T>(
  results: usize,
  weights: usize,
  stride: usize,
  values: usize,
  count: usize,
  size: usize,
): void {
  const mask = i32x4.splat(0x8fffe000);
  const rebias = f32x4.splat(TWO_112);
  const bytes = rowBytes<T>(size);
  for (let block: usize = 0; block < count; block += BLOCK) {
    const end = weights + (min(block + BLOCK, count) << 2);
    for (let d: usize = 0; d < size; d += 8) {
      const o = results + (d << 4);
      let a0 = v128.load(o);
      let a1 = v128.load(o, 16);
      let a2 = v128.load(o, 32);
      let a3 = v128.load(o, 48);
      let b0 = v128.load(o, 64);
      let b1 = v128.load(o, 80);
      let b2 = v128.load(o, 96);
      let b3 = v128.load(o, 112);
      let v = values + block * bytes;
      for (let w = weights + (block << 2); w < end; w += 4) {
        const x = cached4<T>(v, d, size, mask, rebias);
        const y = cached4<T>(v, d + 4, size, mask, rebias);
        const w0 = v128.load32_splat(w);
        const w1 = v128.load32_splat(w + stride);
        const w2 = v128.load32_splat(w + 2 * stride);
        const w3 = v128.load32_splat(w + 3 * stride);
        a0 = mulAdd(x, w0, a0);
        b0 = mulAdd(y, w0, b0);
        a1 = mulAdd(x, w1, a1);
        b1 = mulAdd(y, w1, b1);
        a2 = mulAdd(x, w2, a2);
        b2 = mulAdd(y, w2, b2);
        a3 = mulAdd(x, w3, a3);
        b3 = mulAdd(y, w3, b3);
        v += bytes;
      }
      v128.store(o, a0);
      v128.store(o, a1, 16);
      v128.store(o, a2, 32);
      v128.store(o, a3, 48);
      v128.store(o, b0, 64);
      v128.store(o, b1, 80);
      v128.store(o, b2, 96);
      v128.store(o, b3, 112);
    }
  }
}

/** result += sum over i from begin to end - 1 of weights[i] values[i]: 32 dimensions at a time, then eight. */
function weighOne<T>(
  result: usize,
  weights: usize,
  values: usize,
  begin: usize,
  end: usize,
  size: usize,
): void {
  const mask = i32x4.splat(0x8fffe000);
  const rebias = f32x4.splat(TWO_112);
  const bytes = rowBytes<T>(size);
  for (let block = begin; block < end; block += BLOCK) {
    const first = values + block * bytes;
    const last = weights + (min(block + BLOCK, end) << 2);
    let d: usize = 0;
    for (; d + 32 <= size; d += 32) {
      const o = result + (d << 4);
      let y0 = v128.load(o);
      let y1 = v128.load(o, 64);
      let y2 = v128.load(o, 128);
      let y3 = v128.load(o, 192);
      let y4 = v128.load(o, 256);
      let y5 = v128.load(o, 320);
      let y6 = v128.load(o, 384);
      let y7 = v128.load(o, 448);
      let v = first;
      for (let w = weights + (block << 2); w < last; w += 4) {
        const weight = v128.load32_splat(w);
        y0 = mulAdd(cached4<T>(v, d, size, mask, rebias), weight, y0);
        y1 = mulAdd(cached4<T>(v, d + 4, size, mask, rebias), weight, y1);
        y2 = mulAdd(cached4<T>(v, d + 8, size, mask, rebias), weight, y2);
        y3 = mulAdd(cached4<T>(v, d + 12, size, mask, rebias), weight, y3);
        y4 = mulAdd(cached4<T>(v, d + 16, size, mask, rebias), weight, y4);
        y5 = mulAdd(cached4<T>(v, d + 20, size, mask, rebias), weight, y5);
        y6 = mulAdd(cached4<T>(v, d + 24, size, mask, rebias), weight, y6);
        y7 = mulAdd(cached4<T>(v, d + 28, size, mask, rebias), weight, y7);
        v += bytes;
      }
      v128.store(o, y0);
      v128.store(o, y1, 64);
      v128.store(o, y2, 128);
      v128.store(o, y3, 192);
      v128.store(o, y4, 256);
      v128.store(o, y5, 320);
      v128.store(o, y6, 384);
      v128.store(o, y7, 448);
    }
    for (; d < size; d += 8) {
      const o = result + (d << 4);
      let y0 = v128.load(o);
      let y1 = v128.load(o, 64);
      let v = first;
      for (let w = weights + (block << 2); w < last; w += 4) {
        const weight = v128.load32_splat(w);
        y0 = mulAdd(cached4<T>(v, d, size, mask, rebias), weight, y0);
        y1 = mulAdd(cached4<T>(v, d + 4, size, mask, rebias), weight, y1);
        v += bytes;
      }
      v128.store(o, y0);
      v128.store(o, y1, 64);
    }
  }
}
