import {
  dotNibbles,
  dotPairs,
  dotSumsFrom,
  dotsFrom,
  evenBytes,
  highest32,
  inverseScale,
  oddBytes,
  round16,
  scaledHalf4,
  scaleSums,
  scatter4,
  storeRows,
  sumBytes,
  TWO_112,
} from "./lib/inline";

// q4_0 block in a file: 32 weights of one row in 18 bytes, w[i] = d * (q[i] - 8), q in 0..15
//   0        2                                                18
//   |- d f16 |- q u4[32]: byte j holds q[j] low, q[j+16] high -|
//
// Packed: groups of 8 rows, per 32 columns one block of the 8 rows side by side, 144 bytes. One 32-bit lane is eight
// columns of one row, so that no sum crosses lanes. The rows after the last have scale 0.
//   0                16                                              48              144
//   |- d f16[8] -----|- chunk 0: columns 0..3 low, 16..19 high -------|- chunk 1 ... -|     chunk: u8[8 rows, 4]
//
// Encoded activations, `tile` positions: int8 per 32 columns with a scale of max / 127, rounded half to even, in groups of
// 4 bytes that hold the tile's positions side by side; then the scale as f32 times 2^112 (see scaledHalf4) and -8 times the sum
// of the int8 as i32, which is where the accumulators start: so the weights' offset of 8 costs nothing. Chunk k has
//   relaxed  40 bytes a block and position: columns 4k..4k+3, then 16+4k..16+4k+3
//   simd     72 bytes: int16 pairs (4k, 4k+2) times 256, (4k+1, 4k+3), (16+4k, 18+4k) times 16, (17+4k, 19+4k) times 256: the
//            weights come out of their bytes as 1, 256, 16 and 1 times their value, so that every product is 256 times
//            the true one; the scale is divided by 256, and the start multiplied
// Either way the integer sums are exact and the outputs bit-equal.

const BLOCK: usize = 18;
export const PACKED: usize = 144;
/** Bytes of a block of one position's encoded activations. */
export const ENCODED: usize = ASC_FEATURE_RELAXED_SIMD ? 40 : 72;

/**
 * Packs rows from a file: q4_0[rows, cols] -> packed q4_0[rows, cols]; cols a multiple of 32.
 * Returns the first row that holds an infinite or NaN scale, or -1.
 */
export function pack_q4_0(packed: usize, source: usize, rows: usize, cols: usize): isize {
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

/** out = row `row` of a packed q4_0[.., cols]; out f32[cols] */
export function embed_q4_0(out: usize, packed: usize, row: usize, cols: usize): void {
  embedNibbles(out, packed + (row >> 3) * (cols >> 5) * PACKED, row & 7, cols, 8);
}

/** out[i] = d * (q[i] - offset) for row `lane` of a group; out f32[cols] */
export function embedNibbles(out: usize, p: usize, lane: usize, cols: usize, offset: i32): void {
  const mask = i32x4.splat(0x8fffe000);
  const low = i32x4.splat(15);
  const zero = i32x4.splat(offset);
  for (const end = out + (cols << 2); out < end; p += PACKED, out += 128) {
    const scale = f32x4.mul(
      scaledHalf4(i32x4.splat(<i32>load<i16>(p + (lane << 1))), mask),
      f32x4.splat(TWO_112),
    );
    const q = p + 16 + (lane << 2);
    for (let k: usize = 0; k < 4; k++) {
      const bytes = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(q + (k << 5))));
      const first = i32x4.sub(v128.and(bytes, low), zero);
      const second = i32x4.sub(i32x4.shr_u(bytes, 4), zero);
      v128.store(out + (k << 4), f32x4.mul(f32x4.convert_i32x4_s(first), scale));
      v128.store(out + (k << 4), f32x4.mul(f32x4.convert_i32x4_s(second), scale), 64);
    }
  }
}

/** Quantizes and encodes `tile` positions for matvec_q4_0 and matmul_q4_0: x f32[tile, cols] -> out, at most 72 bytes per block and position. */
export function encode_q4_0(out: usize, x: usize, cols: usize, tile: usize): void {
  encodeForNibbles(out, x, cols, tile, 8);
}

/** The same for weights d * (q - offset). */
export function encodeForNibbles(out: usize, x: usize, cols: usize, tile: usize, offset: i32): void {
  assert(cols % 32 === 0);
  const group = tile << 2;
  const high = i16x8.splat(<i16>0xff00);
  for (let t: usize = 0; t < tile; t++) {
    let o = out + (t << 2);
    for (const end = x + (cols << 2); x < end; x += 128, o += ENCODED * tile) {
      const highest = f32x4.extract_lane(highest32(x), 0);
      const inverse = inverseScale(highest);
      const first = round16(x, inverse);
      const second = round16(x + 64, inverse);
      const start = -offset * sumBytes(first, second);
      if (ASC_FEATURE_RELAXED_SIMD) {
        scatter4(o, 2 * group, first);
        scatter4(o + group, 2 * group, second);
        store<f32>(o + 8 * group, (highest / <f32>127) * TWO_112);
        store<i32>(o + 9 * group, start);
      } else {
        scatter4(o, 4 * group, i16x8.shl(first, 8));
        scatter4(o + group, 4 * group, oddBytes(first));
        scatter4(o + 2 * group, 4 * group, i16x8.shl(evenBytes(second), 4));
        scatter4(o + 3 * group, 4 * group, v128.and(second, high));
        // first as large as in the other builds, so that it overflows for the same activations, from 127 * 2^16 on
        store<f32>(o + 16 * group, (highest / <f32>127) * TWO_112 * <f32>(1.0 / 256));
        store<i32>(o + 17 * group, start * 256);
      }
    }
  }
}

/**
 * out[row] = weights[row] . x for rows [rowBegin, rowEnd)
 *
 *   out      f32[rows]
 *   weights  packed q4_0[rows, cols]   rowBegin a multiple of 8, cols of 32
 *   x        encoded q4_0, one position
 */
export function matvec_q4_0(
  out: usize,
  weights: usize,
  x: usize,
  rowBegin: usize,
  rowEnd: usize,
  cols: usize,
): void {
  matvecNibbles(out, weights, x, rowBegin, rowEnd, cols, (cols >> 5) * PACKED);
}

/** The same of groups of rows that lie `groupBytes` apart. */
export function matvecNibbles(
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
  const low = i8x16.splat(15);
  const nibble0 = i16x8.splat(0x000f);
  const nibble1 = i16x8.splat(0x00f0);
  const nibble2 = i16x8.splat(0x0f00);
  // biome-ignore format: a list of arguments
  multiply(out, weights, x, rowBegin, rowEnd, cols, groupBytes,
    mask, low, nibble0, nibble1, nibble2);
}

/**
 * The constants are arguments: V8 11 keeps those in registers, and makes a function's own anew in each block (1.13 x). The relaxed
 * builds write a block's four chunks out (1.08 x on V8 13); on V8 11 that is slower.
 */
function multiply(
  out: usize,
  weights: usize,
  x: usize,
  rowBegin: usize,
  rowEnd: usize,
  cols: usize,
  groupBytes: usize,
  mask: v128,
  low: v128,
  nibble0: v128,
  nibble1: v128,
  nibble2: v128,
): void {
  const weightBytes = (cols >> 5) * PACKED;
  for (let row = rowBegin; row < rowEnd; row += 8) {
    let w = weights + (row >> 3) * groupBytes;
    const end = w + weightBytes;
    let y0 = f32x4.splat(0);
    let y4 = y0;
    let q = x;
    while (w < end) {
      const offset = v128.load32_splat(q, ENCODED - 4);
      let a0 = dotsFrom(offset);
      let a4 = a0;
      if (ASC_FEATURE_RELAXED_SIMD) {
        let w0 = v128.load(w, 16);
        let w4 = v128.load(w, 32);
        let first = v128.load32_splat(q);
        let second = v128.load32_splat(q, 4);
        a0 = dotNibbles(w0, first, second, a0, low);
        a4 = dotNibbles(w4, first, second, a4, low);
        w0 = v128.load(w, 48);
        w4 = v128.load(w, 64);
        first = v128.load32_splat(q, 8);
        second = v128.load32_splat(q, 12);
        a0 = dotNibbles(w0, first, second, a0, low);
        a4 = dotNibbles(w4, first, second, a4, low);
        w0 = v128.load(w, 80);
        w4 = v128.load(w, 96);
        first = v128.load32_splat(q, 16);
        second = v128.load32_splat(q, 20);
        a0 = dotNibbles(w0, first, second, a0, low);
        a4 = dotNibbles(w4, first, second, a4, low);
        w0 = v128.load(w, 112);
        w4 = v128.load(w, 128);
        first = v128.load32_splat(q, 24);
        second = v128.load32_splat(q, 28);
        a0 = dotNibbles(w0, first, second, a0, low);
        a4 = dotNibbles(w4, first, second, a4, low);
        q += 32;
      } else {
        let c = w;
        for (const chunks = w + 128; c < chunks; c += 32, q += 16) {
          const w0 = v128.load(c, 16);
          const w4 = v128.load(c, 32);
          const first = v128.load32_splat(q);
          a0 = dotPairs(v128.and(w0, nibble0), first, a0);
          a4 = dotPairs(v128.and(w4, nibble0), first, a4);
          const second = v128.load32_splat(q, 4);
          a0 = dotPairs(v128.and(w0, nibble2), second, a0);
          a4 = dotPairs(v128.and(w4, nibble2), second, a4);
          const third = v128.load32_splat(q, 8);
          a0 = dotPairs(v128.and(w0, nibble1), third, a0);
          a4 = dotPairs(v128.and(w4, nibble1), third, a4);
          const fourth = v128.load32_splat(q, 12);
          a0 = dotPairs(i16x8.shr_u(w0, 12), fourth, a0);
          a4 = dotPairs(i16x8.shr_u(w4, 12), fourth, a4);
        }
      }
      const scale = v128.load32_splat(q);
      y0 = scaleSums(dotSumsFrom(offset, a0), scaledHalf4(v128.load16x4_s(w), mask), scale, y0);
      y4 = scaleSums(dotSumsFrom(offset, a4), scaledHalf4(v128.load16x4_s(w, 8), mask), scale, y4);
      q += 8;
      w += PACKED;
    }
    storeRows(out + (row << 2), y0, y4, rowEnd - row);
  }
}
