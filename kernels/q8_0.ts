import {
  dotBytes,
  dotEvenOdd,
  evenBytes,
  highest32,
  inverseScale,
  oddBytes,
  round16,
  SPLIT_DOTS,
  scaledHalf4,
  scaleSums,
  scatter4,
  storeRows,
  TWO_112,
} from "./lib/inline";

// q8_0 block in a file: 32 weights of one row in 34 bytes, w[i] = d * q[i]
//   0        2                             34
//   |- d f16 |- q i8[32] ------------------|
//
// Packed: groups of 8 rows, per 32 columns one block of the 8 rows side by side, 272 bytes. One 32-bit lane is four columns
// of one row, so that no sum crosses lanes. The rows after the last have scale 0.
//   0                16                               48              272
//   |- d f16[8] -----|- chunk 0: columns 0..3 --------|- chunk 1 ... -|     chunk: i8[8 rows, 4 columns]
//
// Encoded activations, `tile` positions: int8 per 32 columns with a scale of max / 127, rounded half to even.
// 68 bytes a block and position: 16 groups of 4 bytes, then the scale as f32 times 2^112 (see scaledHalf4); each
// group holds the tile's positions side by side. Chunk k has two groups:
//   simd     int16 pairs of columns (4k, 4k+2), then (4k+1, 4k+3); the scale is also divided by 256,
//            since the weights come out of their bytes as 256 times their value
//   relaxed  the positive parts of columns 4k..4k+3, then the negative parts: the relaxed dot is exact where its
//            second operand is within 0..127
// relaxed16 does as simd: 16 bits do not hold the sum of two such dots.
// Either way the integer sums are exact and the outputs bit-equal.

const BLOCK: usize = 34;
export const PACKED: usize = 272;
/** Bytes of a block of one position's encoded activations. */
export const ENCODED: usize = 68;

/**
 * Packs rows from a file: q8_0[rows, cols] -> packed q8_0[rows, cols]; cols a multiple of 32.
 * Returns the first row that holds an infinite or NaN scale, or -1.
 */
export function pack_q8_0(packed: usize, source: usize, rows: usize, cols: usize): isize {
  assert(cols % 32 === 0);
  const blocks = cols >> 5;
  for (let row: usize = 0; row < rows; row++) {
    let out = packed + (row >> 3) * blocks * PACKED;
    for (let block: usize = 0; block < blocks; block++, out += PACKED, source += BLOCK) {
      const scale = load<u16>(source);
      if ((scale & 0x7c00) === 0x7c00) return row;
      store<u16>(out + ((row & 7) << 1), scale);
      let chunk = out + 16 + ((row & 7) << 2);
      for (let i: usize = 2; i < BLOCK; i += 4, chunk += 32) store<u32>(chunk, load<u32>(source + i));
    }
  }
  for (let row = rows; row & 7; row++) {
    let out = packed + (row >> 3) * blocks * PACKED;
    for (let block: usize = 0; block < blocks; block++, out += PACKED) {
      store<u16>(out + ((row & 7) << 1), 0);
      let chunk = out + 16 + ((row & 7) << 2);
      for (let i: usize = 2; i < BLOCK; i += 4, chunk += 32) store<u32>(chunk, 0);
    }
  }
  return -1;
}

/** out = row `row` of a packed q8_0[.., cols]; out f32[cols] */
export function embed_q8_0(out: usize, packed: usize, row: usize, cols: usize): void {
  const mask = i32x4.splat(0x8fffe000);
  const blocks = cols >> 5;
  let p = packed + (row >> 3) * blocks * PACKED;
  for (let block: usize = 0; block < blocks; block++, p += PACKED, out += 128) {
    const scale = f32x4.mul(
      scaledHalf4(i32x4.splat(<i32>load<i16>(p + ((row & 7) << 1))), mask),
      f32x4.splat(TWO_112),
    );
    const q = p + 16 + ((row & 7) << 2);
    for (let k: usize = 0; k < 8; k++) {
      const four = i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(v128.load32_zero(q + (k << 5))));
      v128.store(out + (k << 4), f32x4.mul(f32x4.convert_i32x4_s(four), scale));
    }
  }
}

/** Quantizes and encodes `tile` positions for matvec_q8_0 and matmul_q8_0: x f32[tile, cols] -> out, 68 bytes per block and position. */
export function encode_q8_0(out: usize, x: usize, cols: usize, tile: usize): void {
  assert(cols % 32 === 0);
  const group = tile << 2;
  const zero = i8x16.splat(0);
  for (let t: usize = 0; t < tile; t++) {
    let o = out + (t << 2);
    for (const end = x + (cols << 2); x < end; x += 128, o += ENCODED * tile) {
      const highest = f32x4.extract_lane(highest32(x), 0);
      const inverse = inverseScale(highest);
      const low = round16(x, inverse);
      const high = round16(x + 64, inverse);
      if (SPLIT_DOTS) {
        scatter4(o, 2 * group, i8x16.max_s(low, zero));
        scatter4(o + group, 2 * group, i8x16.max_s(i8x16.neg(low), zero));
        scatter4(o + 8 * group, 2 * group, i8x16.max_s(high, zero));
        scatter4(o + 9 * group, 2 * group, i8x16.max_s(i8x16.neg(high), zero));
        store<f32>(o + 16 * group, (highest / <f32>127) * TWO_112);
      } else {
        scatter4(o, 2 * group, evenBytes(low));
        scatter4(o + group, 2 * group, oddBytes(low));
        scatter4(o + 8 * group, 2 * group, evenBytes(high));
        scatter4(o + 9 * group, 2 * group, oddBytes(high));
        // first as large as in the other builds, so that it overflows for the same activations, from 127 * 2^16 on
        store<f32>(o + 16 * group, (highest / <f32>127) * TWO_112 * <f32>(1.0 / 256));
      }
    }
  }
}

/**
 * out[row] = weights[row] . x for rows [rowBegin, rowEnd)
 *
 *   out      f32[rows]
 *   weights  packed q8_0[rows, cols]   rowBegin a multiple of 8, cols of 32
 *   x        encoded q8_0, one position
 */
export function matvec_q8_0(
  out: usize,
  weights: usize,
  x: usize,
  rowBegin: usize,
  rowEnd: usize,
  cols: usize,
): void {
  matvecBytes(out, weights, x, rowBegin, rowEnd, cols, (cols >> 5) * PACKED);
}

/** The same of groups of rows that lie `groupBytes` apart. */
export function matvecBytes(
  out: usize,
  weights: usize,
  x: usize,
  rowBegin: usize,
  rowEnd: usize,
  cols: usize,
  groupBytes: usize,
): void {
  assert((rowBegin & 7) === 0 && cols % 32 === 0);
  const mask = i32x4.splat(0x8fffe000);
  const high = i16x8.splat(<i16>0xff00);
  // biome-ignore format: a list of arguments
  multiply(out, weights, x, rowBegin, rowEnd, cols, groupBytes,
    mask, high);
}

/** The constants are arguments, as in q4_0.ts: 1.07 x on V8 11. */
function multiply(
  out: usize,
  weights: usize,
  x: usize,
  rowBegin: usize,
  rowEnd: usize,
  cols: usize,
  groupBytes: usize,
  mask: v128,
  high: v128,
): void {
  const weightBytes = (cols >> 5) * PACKED;
  for (let row = rowBegin; row < rowEnd; row += 8) {
    let w = weights + (row >> 3) * groupBytes;
    const end = w + weightBytes;
    let y0 = f32x4.splat(0);
    let y4 = y0;
    let q = x;
    while (w < end) {
      let a0 = i32x4.splat(0);
      let a4 = a0;
      let b0 = a0;
      let b4 = a0;
      const chunks = w + 256;
      let c = w;
      for (; c < chunks; c += 32, q += 8) {
        const first = v128.load32_splat(q);
        const second = v128.load32_splat(q, 4);
        const w0 = v128.load(c, 16);
        const w4 = v128.load(c, 32);
        if (SPLIT_DOTS) {
          a0 = dotBytes(w0, first, a0);
          a4 = dotBytes(w4, first, a4);
          b0 = dotBytes(w0, second, b0);
          b4 = dotBytes(w4, second, b4);
        } else {
          a0 = dotEvenOdd(w0, first, second, a0, high);
          a4 = dotEvenOdd(w4, first, second, a4, high);
        }
      }
      if (SPLIT_DOTS) {
        a0 = i32x4.sub(a0, b0);
        a4 = i32x4.sub(a4, b4);
      }
      const scale = v128.load32_splat(q);
      y0 = scaleSums(a0, scaledHalf4(v128.load16x4_s(w), mask), scale, y0);
      y4 = scaleSums(a4, scaledHalf4(v128.load16x4_s(w, 8), mask), scale, y4);
      q += 4;
      w += PACKED;
    }
    storeRows(out + (row << 2), y0, y4, rowEnd - row);
  }
}
