import {
  addBlock,
  addScaledHigh,
  addScaledLow,
  columns20,
  columns28,
  dotFour,
  dotPairs,
  dotSplit,
  storeRows,
} from "./lib/inline";
import { encodeWithSums, fiveBits, packHead } from "./lib/k-quants";

// q5_K block in a file: 256 weights of one row in 176 bytes; as q4_K (see there), with a fifth bit for each weight:
// w[i] = d * scale[j] * q[i] - dmin * minimum[j], q in 0..31, j = i / 32
//   0       2          4                       16                                48                                    176
//   |- d f16|- dmin f16|- scales and minimums -|- bit 4 of q: byte i, bit j is  -|- bits 0..3, byte 32p + i holds     -|
//                                                 q[32j + i]'s                      q[64p + i], q[64p + 32 + i]
//
// Packed: q4_K's layout with 160 bytes for each sub-block, 1472 bytes for 8 rows.
//   0             32               64                      192                                       1472
//   |- d f32[8] --|- dmin f32[8] --|- pair 0: 32 bytes ... -|- sub-block 0: plane 0 ... 4 | sub-block 1 ... -|
//     plane k  u8[8 rows, 4]: columns 4k + 0..3 of the sub-block in bits 0..4. The upper bits hold columns 20..31:
//              of 20..23 bits 0..2 in plane 0 and 3, 4 in plane 1; of 24..27 0..2 in plane 2 and 3, 4 in plane 3, each from bit 5 on;
//              of 28..31 bits 0..2 in plane 4 from bit 5 on, 3 in plane 1's bit 7 and 4 in plane 3's
//
// Encoded activations: q4_K's, but that in the simd build none is multiplied by a power of two. A block's sum is at most
// 8 * 63 * 32 * 31 * 127 < 2^26: integer sums are exact, the outputs bit-equal in all builds.

const BLOCK: usize = 176;
export const PACKED: usize = 1472;
/** Bytes of a position's encoded activations before the sums. */
const ACTIVATIONS: usize = ASC_FEATURE_RELAXED_SIMD ? 256 : 512;

/**
 * Packs rows from a file: q5_K[rows, cols] -> packed q5_K[rows, cols]; cols a multiple of 256.
 * Returns the first row that holds an infinite or NaN scale, or -1.
 */
export function pack_q5_k(packed: usize, source: usize, rows: usize, cols: usize): isize {
  assert(cols % 256 === 0);
  const blocks = cols >> 8;
  for (let row: usize = 0; row < rows; row++) {
    let out = packed + (row >> 3) * blocks * PACKED;
    // the rows that the last group lacks
    if ((row & 7) === 0 && rows - row < 8) memory.fill(out, 0, blocks * PACKED);
    for (let block: usize = 0; block < blocks; block++, out += PACKED, source += BLOCK) {
      if (!packHead(out, source, row & 7)) return row;
      let planes = out + 192 + ((row & 7) << 2);
      for (let j: u32 = 0; j < 8; j++, planes += 160) {
        const nibbles = source + 48 + ((<usize>j >> 1) << 5);
        const shift = (j & 1) << 2;
        const a = fiveBits(load<u32>(nibbles, 20) >> shift, load<u32>(source, 36) >> j);
        const b = fiveBits(load<u32>(nibbles, 24) >> shift, load<u32>(source, 40) >> j);
        const c = fiveBits(load<u32>(nibbles, 28) >> shift, load<u32>(source, 44) >> j);
        store<u32>(
          planes,
          fiveBits(load<u32>(nibbles) >> shift, load<u32>(source, 16) >> j) | ((a & 0x07070707) << 5),
        );
        store<u32>(
          planes,
          fiveBits(load<u32>(nibbles, 4) >> shift, load<u32>(source, 20) >> j) |
            ((a & 0x18181818) << 2) |
            ((c & 0x08080808) << 4),
          32,
        );
        store<u32>(
          planes,
          fiveBits(load<u32>(nibbles, 8) >> shift, load<u32>(source, 24) >> j) | ((b & 0x07070707) << 5),
          64,
        );
        store<u32>(
          planes,
          fiveBits(load<u32>(nibbles, 12) >> shift, load<u32>(source, 28) >> j) |
            ((b & 0x18181818) << 2) |
            ((c & 0x10101010) << 3),
          96,
        );
        store<u32>(
          planes,
          fiveBits(load<u32>(nibbles, 16) >> shift, load<u32>(source, 32) >> j) | ((c & 0x07070707) << 5),
          128,
        );
      }
    }
  }
  return -1;
}

/** out = row `row` of a packed q5_K[.., cols]; out f32[cols]. d * scale * q and dmin * minimum are exact, so it is rounded once. */
export function embed_q5_k(out: usize, packed: usize, row: usize, cols: usize): void {
  const lane = row & 7;
  const blocks = cols >> 8;
  let p = packed + (row >> 3) * blocks * PACKED;
  for (let block: usize = 0; block < blocks; block++, p += PACKED) {
    const d = load<f32>(p + (lane << 2));
    const dmin = load<f32>(p + (lane << 2), 32);
    let planes = p + 192 + (lane << 2);
    for (let j: usize = 0; j < 8; j++, planes += 160) {
      const head = p + 64 + ((j >> 1) << 5);
      const scale = f32x4.splat(d * <f32>load<u8>(head + ((j & 1) << 3) + lane));
      const minimum = f32x4.splat(dmin * <f32>load<u8>(head + (lane << 1) + (j & 1), 16));
      const a = load<u32>(planes);
      const b = load<u32>(planes, 32);
      const c = load<u32>(planes, 64);
      const e = load<u32>(planes, 96);
      const f = load<u32>(planes, 128);
      for (let k: usize = 0; k < 8; k++, out += 16) {
        let q: u32;
        if (k < 5) q = load<u32>(planes + (k << 5)) & 0x1f1f1f1f;
        else if (k === 5) q = ((a >> 5) & 0x07070707) | ((b >> 2) & 0x18181818);
        else if (k === 6) q = ((c >> 5) & 0x07070707) | ((e >> 2) & 0x18181818);
        else q = ((f >> 5) & 0x07070707) | ((b >> 4) & 0x08080808) | ((e >> 3) & 0x10101010);
        const bytes = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(i32x4.splat(q)));
        v128.store(out, f32x4.sub(f32x4.mul(f32x4.convert_i32x4_s(bytes), scale), minimum));
      }
    }
  }
}

/** Quantizes and encodes `tile` positions for matvec_q5_k and matmul_q5_k: x f32[tile, cols] -> out, at most 532 bytes per block and position. */
export function encode_q5_k(out: usize, x: usize, cols: usize, tile: usize): void {
  encodeWithSums(out, x, cols, tile, false);
}

/**
 * out[row] = weights[row] . x for rows [rowBegin, rowEnd)
 *
 *   out      f32[rows]
 *   weights  packed q5_K[rows, cols]   rowBegin a multiple of 8, cols of 256
 *   x        encoded q5_K, one position
 */
export function matvec_q5_k(
  out: usize,
  weights: usize,
  x: usize,
  rowBegin: usize,
  rowEnd: usize,
  cols: usize,
): void {
  assert((rowBegin & 7) === 0 && cols % 256 === 0);
  const five = i8x16.splat(31);
  const low = i8x16.splat(7);
  const high = i8x16.splat(24);
  const bit3 = i8x16.splat(8);
  const bit4 = i8x16.splat(16);
  const even = i16x8.splat(255);
  // biome-ignore format: a list of arguments
  multiply(out, weights, x, rowBegin, rowEnd, cols,
    five, low, high, bit3, bit4, even);
}

/** The constants are arguments, as in q4_0.ts: 1.03 x on V8 11. */
function multiply(
  out: usize,
  weights: usize,
  x: usize,
  rowBegin: usize,
  rowEnd: usize,
  cols: usize,
  five: v128,
  low: v128,
  high: v128,
  bit3: v128,
  bit4: v128,
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
      let m0 = s0;
      let m4 = s0;
      let sums = q + ACTIVATIONS;
      let head = w + 64;
      let planes = w + 192;
      for (w += PACKED; planes < w; ) {
        for (const pair = planes + 320; planes < pair; planes += 160, head += 8) {
          let a0 = i32x4.splat(0);
          let a4 = a0;
          if (ASC_FEATURE_RELAXED_SIMD) {
            let x0 = v128.load32_splat(q);
            let x1 = v128.load32_splat(q, 4);
            let x2 = v128.load32_splat(q, 8);
            let x3 = v128.load32_splat(q, 12);
            a0 = dotFour(
              x0,
              v128.and(v128.load(planes), five),
              x1,
              v128.and(v128.load(planes, 32), five),
              x2,
              v128.and(v128.load(planes, 64), five),
              x3,
              v128.and(v128.load(planes, 96), five),
              a0,
            );
            a4 = dotFour(
              x0,
              v128.and(v128.load(planes, 16), five),
              x1,
              v128.and(v128.load(planes, 48), five),
              x2,
              v128.and(v128.load(planes, 80), five),
              x3,
              v128.and(v128.load(planes, 112), five),
              a4,
            );
            x0 = v128.load32_splat(q, 16);
            x1 = v128.load32_splat(q, 20);
            x2 = v128.load32_splat(q, 24);
            x3 = v128.load32_splat(q, 28);
            a0 = dotFour(
              x0,
              v128.and(v128.load(planes, 128), five),
              x1,
              columns20(planes, low, high),
              x2,
              columns20(planes + 64, low, high),
              x3,
              columns28(planes, low, bit3, bit4),
              a0,
            );
            a4 = dotFour(
              x0,
              v128.and(v128.load(planes, 144), five),
              x1,
              columns20(planes + 16, low, high),
              x2,
              columns20(planes + 80, low, high),
              x3,
              columns28(planes + 16, low, bit3, bit4),
              a4,
            );
            q += 32;
          } else {
            for (let plane = planes; plane < planes + 160; plane += 32, q += 8) {
              const first = v128.load32_splat(q);
              const second = v128.load32_splat(q, 4);
              a0 = dotSplit(v128.and(v128.load(plane), five), first, second, a0, even);
              a4 = dotSplit(v128.and(v128.load(plane, 16), five), first, second, a4, even);
            }
            let first = v128.load32_splat(q);
            let second = v128.load32_splat(q, 4);
            a0 = dotSplit(columns20(planes, low, high), first, second, a0, even);
            a4 = dotSplit(columns20(planes + 16, low, high), first, second, a4, even);
            first = v128.load32_splat(q, 8);
            second = v128.load32_splat(q, 12);
            a0 = dotSplit(columns20(planes + 64, low, high), first, second, a0, even);
            a4 = dotSplit(columns20(planes + 80, low, high), first, second, a4, even);
            first = v128.load32_splat(q, 16);
            second = v128.load32_splat(q, 20);
            a0 = dotSplit(columns28(planes, low, bit3, bit4), first, second, a0, even);
            a4 = dotSplit(columns28(planes + 16, low, bit3, bit4), first, second, a4, even);
            q += 24;
          }
          const scale = v128.load8x8_u(head);
          s0 = addScaledLow(s0, a0, scale);
          s4 = addScaledHigh(s4, a4, scale);
        }
        const both = v128.load32_splat(sums);
        m0 = dotPairs(v128.load8x8_u(head), both, m0);
        m4 = dotPairs(v128.load8x8_u(head, 8), both, m4);
        head += 16;
        sums += 4;
      }
      const scale = v128.load32_splat(sums);
      const d = w - PACKED;
      y0 = addBlock(y0, scale, v128.load(d), s0, v128.load(d, 32), m0);
      y4 = addBlock(y4, scale, v128.load(d, 16), s4, v128.load(d, 48), m4);
      q = sums + 4;
    }
    storeRows(out + (row << 2), y0, y4, rowEnd - row);
  }
}
