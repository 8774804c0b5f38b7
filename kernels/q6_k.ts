import {
  addScaledHigh,
  addScaledLow,
  dotSplit,
  dotTwo,
  evenBytes,
  inverseScale,
  lastColumns4,
  mulAdd,
  oddBytes,
  round16,
  scatter4,
  storeRows,
  sumBytes16,
} from "./lib/inline";
import { halfToFloat, highest256, isNotFinite, joinBits, lastColumns, storePlanes } from "./lib/k-quants";

// q6_K block in a file: 256 weights of one row in 210 bytes, sixteen sub-blocks of 16 with a scale of 8 bits each:
// w[i] = d * scale[i / 16] * (q[i] - 32), q in 0..63. The halves of 128 columns are alike:
//   0                                                   128                                  192              208
//   |- low 4 bits: byte 64h + i, i = 0..63, holds those -|- high 2 bits: byte 32h + i, i =   -|- scale i8[16] -|- d f16 -|
//      of q[128h + i] and q[128h + 64 + i]                  0..31, those of q[128h + 32p + i] at bit 2p
//
// Packed: groups of 8 rows, per 256 columns one block of the 8 rows side by side, 1696 bytes, 16 more than in the file, since d
// becomes f32 (see q4_k.ts). One 32-bit lane is sixteen columns of one row, so that no sum crosses lanes. The rows after the
// last are zero.
//   0            32                               160                                       1696
//   |- d f32[8] -|- scale i8[16 sub-blocks, 8] ----|- sub-block 0: plane 0, 1, 2 | sub-block 1 ... -|
//     plane k  u8[8 rows, 4]: columns 4k + 0..3 of the sub-block in bits 0..5, and in bits 6 and 7 bits 2k and 2k + 1 of its columns 12..15
//
// Encoded activations, `tile` positions: int8 per 256 columns with a scale of max / 127, rounded half to even, in groups of 4
// bytes that hold the tile's positions side by side; then for each sub-block -32 times the sum of its int8 as i32, which is
// where its accumulator starts, so that the offset of 32 costs nothing; then the scale as f32. The activations:
//   relaxed  in their order, four a group; the weights, 0..63, are the relaxed dot's second operand
//   simd     two groups of int16 pairs for each four columns c: (c, c+2) and (c+1, c+3)
// A sub-block's sum is at most 16 * 32 * 127, a block's 16 * 128 * 65024 < 2^27: integer sums are exact, the outputs
// bit-equal in both builds.

const BLOCK: usize = 210;
export const PACKED: usize = 1696;
/** Bytes of a position's encoded activations before the sums. */
export const ACTIVATIONS: usize = ASC_FEATURE_RELAXED_SIMD ? 256 : 512;

/**
 * Packs rows from a file: q6_K[rows, cols] -> packed q6_K[rows, cols]; cols a multiple of 256.
 * Returns the first row that holds an infinite or NaN scale, or -1.
 */
export function pack_q6_k(packed: usize, source: usize, rows: usize, cols: usize): isize {
  assert(cols % 256 === 0);
  const blocks = cols >> 8;
  for (let row: usize = 0; row < rows; row++) {
    const lane = row & 7;
    let out = packed + (row >> 3) * blocks * PACKED;
    // the rows that the last group lacks
    if (lane === 0 && rows - row < 8) memory.fill(out, 0, blocks * PACKED);
    for (let block: usize = 0; block < blocks; block++, out += PACKED, source += BLOCK) {
      const d = load<u16>(source, 208);
      if (isNotFinite(d)) return row;
      store<f32>(out + (lane << 2), halfToFloat(d));
      for (let j: usize = 0; j < 16; j++) store<u8>(out + (j << 3) + lane, load<u8>(source + j, 192), 32);
      let planes = out + 160 + (lane << 2);
      for (let j: usize = 0; j < 16; j++, planes += 96) {
        const low = source + ((j >> 3) << 6) + ((j & 3) << 4);
        const high = source + 128 + ((j >> 3) << 5) + ((j & 1) << 4);
        const part = (<u32>j >> 1) & 3;
        storePlanes(
          planes,
          joinBits(load<u32>(low), load<u32>(high), part),
          joinBits(load<u32>(low, 4), load<u32>(high, 4), part),
          joinBits(load<u32>(low, 8), load<u32>(high, 8), part),
          joinBits(load<u32>(low, 12), load<u32>(high, 12), part),
        );
      }
    }
  }
  return -1;
}

/** out = row `row` of a packed q6_K[.., cols]; out f32[cols]. d * scale * (q - 32) is exact in f32. */
export function embed_q6_k(out: usize, packed: usize, row: usize, cols: usize): void {
  const lane = row & 7;
  const blocks = cols >> 8;
  let p = packed + (row >> 3) * blocks * PACKED;
  for (let block: usize = 0; block < blocks; block++, p += PACKED) {
    const d = load<f32>(p + (lane << 2));
    let planes = p + 160 + (lane << 2);
    for (let j: usize = 0; j < 16; j++, planes += 96, out += 64) {
      const scale = f32x4.splat(d * <f32>load<i8>(p + (j << 3) + lane, 32));
      const last = lastColumns(load<u32>(planes), load<u32>(planes, 32), load<u32>(planes, 64));
      for (let k: usize = 0; k < 4; k++) {
        const six = k < 3 ? load<u32>(planes + (k << 5)) & 0x3f3f3f3f : last;
        const bytes = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(i32x4.splat(six)));
        const q = f32x4.convert_i32x4_s(i32x4.sub(bytes, i32x4.splat(32)));
        v128.store(out + (k << 4), f32x4.mul(q, scale));
      }
    }
  }
}

/** Quantizes and encodes `tile` positions for matvec_q6_k and matmul_q6_k: x f32[tile, cols] -> out, at most 580 bytes per block and position. */
export function encode_q6_k(out: usize, x: usize, cols: usize, tile: usize): void {
  assert(cols % 256 === 0);
  const group = tile << 2;
  for (let t: usize = 0; t < tile; t++) {
    let o = out + (t << 2);
    for (const end = x + (cols << 2); x < end; ) {
      const highest = highest256(x);
      const inverse = inverseScale(highest);
      let sums = o + (ASC_FEATURE_RELAXED_SIMD ? 64 : 128) * group;
      for (let j = 0; j < 16; j++, x += 64, sums += group) {
        const a = round16(x, inverse);
        store<i32>(sums, -32 * sumBytes16(a));
        if (ASC_FEATURE_RELAXED_SIMD) {
          scatter4(o, group, a);
          o += 4 * group;
        } else {
          scatter4(o, 2 * group, evenBytes(a));
          scatter4(o + group, 2 * group, oddBytes(a));
          o += 8 * group;
        }
      }
      store<f32>(sums, highest / <f32>127);
      o = sums + group;
    }
  }
}

/**
 * out[row] = weights[row] . x for rows [rowBegin, rowEnd)
 *
 *   out      f32[rows]
 *   weights  packed q6_K[rows, cols]   rowBegin a multiple of 8, cols of 256
 *   x        encoded q6_K, one position
 */
export function matvec_q6_k(
  out: usize,
  weights: usize,
  x: usize,
  rowBegin: usize,
  rowEnd: usize,
  cols: usize,
): void {
  assert((rowBegin & 7) === 0 && cols % 256 === 0);
  const bits = i8x16.splat(63);
  const bits0 = i8x16.splat(3);
  const bits1 = i8x16.splat(12);
  const bits2 = i8x16.splat(48);
  const even = i16x8.splat(255);
  // biome-ignore format: a list of arguments
  multiply(out, weights, x, rowBegin, rowEnd, cols,
    bits, bits0, bits1, bits2, even);
}

/** The constants are arguments, as in q4_0.ts: 1.07 x on V8 11. */
function multiply(
  out: usize,
  weights: usize,
  x: usize,
  rowBegin: usize,
  rowEnd: usize,
  cols: usize,
  bits: v128,
  bits0: v128,
  bits1: v128,
  bits2: v128,
  even: v128,
): void {
  const groupBytes = (cols >> 8) * PACKED;
  let w = weights + (rowBegin >> 3) * groupBytes;
  for (let row = rowBegin; row < rowEnd; row += 8) {
    const end = w + groupBytes;
    let y0 = f32x4.splat(0);
    let y4 = y0;
    let q = x;
    while (w < end) {
      let s0 = i32x4.splat(0);
      let s4 = s0;
      let sums = q + ACTIVATIONS;
      let scales = w + 32;
      for (let planes = w + 160; planes < w + PACKED; planes += 96, scales += 8, sums += 4) {
        let a0 = v128.load32_splat(sums);
        let a4 = a0;
        const u0 = v128.load(planes);
        const u4 = v128.load(planes, 16);
        const v0 = v128.load(planes, 32);
        const v4 = v128.load(planes, 48);
        const w0 = v128.load(planes, 64);
        const w4 = v128.load(planes, 80);
        const last0 = lastColumns4(u0, v0, w0, bits0, bits1, bits2);
        const last4 = lastColumns4(u4, v4, w4, bits0, bits1, bits2);
        if (ASC_FEATURE_RELAXED_SIMD) {
          let p = v128.load32_splat(q);
          let r = v128.load32_splat(q, 4);
          a0 = dotTwo(p, v128.and(u0, bits), r, v128.and(v0, bits), a0);
          a4 = dotTwo(p, v128.and(u4, bits), r, v128.and(v4, bits), a4);
          p = v128.load32_splat(q, 8);
          r = v128.load32_splat(q, 12);
          a0 = dotTwo(p, v128.and(w0, bits), r, last0, a0);
          a4 = dotTwo(p, v128.and(w4, bits), r, last4, a4);
          q += 16;
        } else {
          let p = v128.load32_splat(q);
          let r = v128.load32_splat(q, 4);
          a0 = dotSplit(v128.and(u0, bits), p, r, a0, even);
          a4 = dotSplit(v128.and(u4, bits), p, r, a4, even);
          p = v128.load32_splat(q, 8);
          r = v128.load32_splat(q, 12);
          a0 = dotSplit(v128.and(v0, bits), p, r, a0, even);
          a4 = dotSplit(v128.and(v4, bits), p, r, a4, even);
          p = v128.load32_splat(q, 16);
          r = v128.load32_splat(q, 20);
          a0 = dotSplit(v128.and(w0, bits), p, r, a0, even);
          a4 = dotSplit(v128.and(w4, bits), p, r, a4, even);
          p = v128.load32_splat(q, 24);
          r = v128.load32_splat(q, 28);
          a0 = dotSplit(last0, p, r, a0, even);
          a4 = dotSplit(last4, p, r, a4, even);
          q += 32;
        }
        const scale = v128.load8x8_s(scales);
        s0 = addScaledLow(s0, a0, scale);
        s4 = addScaledHigh(s4, a4, scale);
      }
      const xScale = v128.load32_splat(sums);
      y0 = mulAdd(f32x4.convert_i32x4_s(s0), f32x4.mul(v128.load(w), xScale), y0);
      y4 = mulAdd(f32x4.convert_i32x4_s(s4), f32x4.mul(v128.load(w, 16), xScale), y4);
      q = sums + 4;
      w += PACKED;
    }
    storeRows(out + (row << 2), y0, y4, rowEnd - row);
  }
}
