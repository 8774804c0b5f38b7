import { dimensions4, halves4, paddedSize, rowBytes } from "./lib/cache";

// cache[h, position + t] = x[t, h]: the keys or values of a run of positions go into the cache
//
//   cache  [heads, contextLength] rows (see lib/cache.ts)
//   x      f32[positions, heads, headDim]
//
// Each returns the first t that the type cannot hold, or -1.

/** All values fit. */
export function cache_f32(
  cache: usize,
  x: usize,
  position: usize,
  positions: usize,
  heads: usize,
  headDim: usize,
  contextLength: usize,
): isize {
  assert(position + positions <= contextLength);
  const headBytes = headDim << 2;
  const bytes = rowBytes<f32>(paddedSize(headDim));
  for (let t: usize = 0; t < positions; t++) {
    for (let head: usize = 0; head < heads; head++) {
      const row = cache + (head * contextLength + position + t) * bytes;
      memory.copy(row, x, headBytes);
      memory.fill(row + headBytes, 0, bytes - headBytes);
      x += headBytes;
    }
  }
  return -1;
}

/** Rounded half to even; NaN and what rounds to more than 65,504 do not fit. */
export function cache_f16(
  cache: usize,
  x: usize,
  position: usize,
  positions: usize,
  heads: usize,
  headDim: usize,
  contextLength: usize,
): isize {
  assert(position + positions <= contextLength);
  const bytes = rowBytes<u16>(paddedSize(headDim));
  for (let t: usize = 0; t < positions; t++) {
    for (let head: usize = 0; head < heads; head++) {
      const row = cache + (head * contextLength + position + t) * bytes;
      memory.fill(row, 0, bytes);
      let highest = i32x4.splat(0);
      for (let d: usize = 0; d < headDim; d += 4) {
        const v = dimensions4(x + (d << 2), headDim - d);
        const magnitude = halves4(v);
        highest = i32x4.max_s(highest, magnitude);
        const halves = v128.or(magnitude, i32x4.shl(i32x4.shr_u(v, 31), 15));
        v128.store64_lane(row + (d << 1), i16x8.narrow_i32x4_u(halves, halves), 0);
      }
      if (v128.any_true(i32x4.gt_s(highest, i32x4.splat(0x7bff)))) return t;
      x += headDim << 2;
    }
  }
  return -1;
}

/** Scaled by the largest of 32 over 127 and rounded half to even, to 0 where that is below 1e-36; NaN and what is 3.4e38 or more do not fit. */
export function cache_q8_0(
  cache: usize,
  x: usize,
  position: usize,
  positions: usize,
  heads: usize,
  headDim: usize,
  contextLength: usize,
): isize {
  assert(position + positions <= contextLength);
  const size = paddedSize(headDim);
  const bytes = rowBytes<i8>(size);
  for (let t: usize = 0; t < positions; t++) {
    for (let head: usize = 0; head < heads; head++) {
      const row = cache + (head * contextLength + position + t) * bytes;
      memory.fill(row, 0, bytes);
      for (let block: usize = 0; block < headDim; block += 32) {
        const end = min(block + 32, headDim);
        let magnitudes = f32x4.splat(0);
        for (let d = block; d < end; d += 4) {
          magnitudes = f32x4.max(magnitudes, f32x4.abs(dimensions4(x + (d << 2), end - d))); // max keeps a NaN, pmax would not
        }
        const highest = highestOf(magnitudes);
        if (!(highest < <f32>3.4e38)) return t; // 127 times its rounded 127th may not overflow either
        // below that 127 / highest is infinite
        const inverse = f32x4.splat(highest > <f32>1e-36 ? <f32>127 / highest : 0);
        store<f32>(row + size + ((block >> 5) << 2), highest / <f32>127);
        for (let d = block; d < end; d += 4) {
          const rounded = f32x4.nearest(f32x4.mul(dimensions4(x + (d << 2), end - d), inverse));
          const shorts = i16x8.narrow_i32x4_s(i32x4.trunc_sat_f32x4_s(rounded), i32x4.splat(0));
          v128.store32_lane(row + d, i8x16.narrow_i16x8_s(shorts, shorts), 0);
        }
      }
      x += headDim << 2;
    }
  }
  return -1;
}

/** The largest lane; NaN if one is. */
function highestOf(v: v128): f32 {
  const a = f32x4.max(v, v128.shuffle<i32>(v, v, 2, 3, 0, 1));
  return f32x4.extract_lane(f32x4.max(a, v128.shuffle<i32>(a, a, 1, 0, 3, 2)), 0);
}
