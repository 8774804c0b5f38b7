import {
  addBlock,
  addScaledHigh,
  addScaledLow,
  dotPairs,
  dotWide,
  fiveBitsHigh,
  fiveBitsLow,
  storeRows,
} from "./lib/inline";
import { encodeWithSums, packHead } from "./lib/k-quants";

// q5_K block in a file: 256 weights of one row in 176 bytes; as q4_K (see there), with a fifth bit for each weight:
// w[i] = d * scale[j] * q[i] - dmin * minimum[j], q in 0..31, j = i / 32
//   0       2          4                       16                                48                                    176
//   |- d f16|- dmin f16|- scales and minimums -|- bit 4 of q: byte i, bit j is  -|- bits 0..3, byte 32p + i holds     -|
//                                                 q[32j + i]'s                      q[64p + i], q[64p + 32 + i]
//
// Packed: q4_K's layout with 64 bytes of fifth bits before the nibbles of each pair, 1472 bytes for 8 rows.
//   0             32               64                       192                                                     1472
//   |- d f32[8] --|- dmin f32[8] --|- pair 0: 32 bytes ... -|- pair 0: bits of chunks 0..3, of 4..7, chunk 0 ... chunk 7 | pair 1 ... -|
//     bits of chunks 4h..4h+3  u8[8 rows, 4]: bits 2k and 2k + 1 of byte [row, c] belong to the low and the high nibble of
//                              byte [row, c] of chunk 4h + k
//
// Encoded activations: q4_K's, also the powers of two in the simd build. A sub-block's sum is at most
// 32 * 31 * 127 * 256 < 2^25 there, a block's 8 * 63 * 125984 < 2^26: integer sums are exact, the outputs bit-equal in both builds.

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
      let nibbles = source + 48;
      let part = out + 192 + ((row & 7) << 2);
      for (let pair: usize = 0; pair < 4; pair++, part += 320) {
        for (let k: usize = 0; k < 8; k++, nibbles += 4) store<u32>(part + (k << 5), load<u32>(nibbles), 64);
        for (let half: usize = 0; half < 2; half++) {
          let bits: u32 = 0;
          for (let k: usize = 0; k < 4; k++) {
            const four = load<u32>(source + (half << 4) + (k << 2), 16);
            bits |= ((four >> ((<u32>pair) << 1)) & 0x03030303) << ((<u32>k) << 1);
          }
          store<u32>(part + (half << 5), bits);
        }
      }
    }
  }
  return -1;
}

/** out = row `row` of a packed q5_K[.., cols]; out f32[cols]. d * scale * q and dmin * minimum are exact, so it is rounded once. */
export function embed_q5_k(out: usize, packed: usize, row: usize, cols: usize): void {
  const low = i32x4.splat(15);
  const one = i32x4.splat(1);
  const two = i32x4.splat(2);
  const blocks = cols >> 8;
  let p = packed + (row >> 3) * blocks * PACKED;
  for (let block: usize = 0; block < blocks; block++, p += PACKED) {
    const d = load<f32>(p + ((row & 7) << 2));
    const dmin = load<f32>(p + ((row & 7) << 2), 32);
    for (let pair: usize = 0; pair < 4; pair++, out += 256) {
      const head = p + 64 + (pair << 5);
      const scale0 = f32x4.splat(d * <f32>load<u8>(head + (row & 7)));
      const scale1 = f32x4.splat(d * <f32>load<u8>(head + (row & 7), 8));
      const minimum0 = f32x4.splat(dmin * <f32>load<u8>(head + ((row & 7) << 1), 16));
      const minimum1 = f32x4.splat(dmin * <f32>load<u8>(head + ((row & 7) << 1), 17));
      const q = p + 192 + pair * 320 + ((row & 7) << 2);
      for (let k: usize = 0; k < 8; k++) {
        const bytes = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(q + (k << 5), 64)));
        const four = load<u32>(q + ((k >> 2) << 5)) >> ((<u32>k & 3) << 1);
        const bits = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(i32x4.replace_lane(low, 0, four)));
        const first = v128.or(v128.and(bytes, low), i32x4.shl(v128.and(bits, one), 4));
        const second = v128.or(i32x4.shr_u(bytes, 4), i32x4.shl(v128.and(bits, two), 3));
        v128.store(out + (k << 4), f32x4.sub(f32x4.mul(f32x4.convert_i32x4_s(first), scale0), minimum0));
        v128.store(
          out + (k << 4),
          f32x4.sub(f32x4.mul(f32x4.convert_i32x4_s(second), scale1), minimum1),
          128,
        );
      }
    }
  }
}

/** Quantizes and encodes `tile` positions for matvec_q5_k and matmul_q5_k: x f32[tile, cols] -> out, at most 532 bytes per block and position. */
export function encode_q5_k(out: usize, x: usize, cols: usize, tile: usize): void {
  encodeWithSums(out, x, cols, tile);
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
  const low = i8x16.splat(15);
  const one = i8x16.splat(1);
  const two = i8x16.splat(2);
  const even = i16x8.splat(0x00ff);
  const odd = i16x8.splat(<i16>0xff00);
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
      let c = w + 192;
      for (w += PACKED; c < w; ) {
        // a: sub-block 2p, b: 2p + 1
        let a0 = i32x4.splat(0);
        let a4 = a0;
        let b0 = a0;
        let b4 = a0;
        for (let half = c; half < c + 64; half += 32) {
          let bits0 = v128.load(half);
          let bits4 = v128.load(half, 16);
          // 128 bytes of nibbles for each 32 of bits
          let n = c + 64 + ((half - c) << 2);
          for (const chunks = n + 128; n < chunks; n += 32) {
            const w0 = v128.load(n);
            const w4 = v128.load(n, 16);
            const first0 = fiveBitsLow(w0, bits0, low, one);
            const first4 = fiveBitsLow(w4, bits4, low, one);
            const second0 = fiveBitsHigh(w0, bits0, low, two);
            const second4 = fiveBitsHigh(w4, bits4, low, two);
            if (ASC_FEATURE_RELAXED_SIMD) {
              const first = v128.load32_splat(q);
              a0 = dotWide(first, first0, a0);
              a4 = dotWide(first, first4, a4);
              const second = v128.load32_splat(q, 32);
              b0 = dotWide(second, second0, b0);
              b4 = dotWide(second, second4, b4);
              q += 4;
            } else {
              const first = v128.load32_splat(q);
              a0 = dotPairs(v128.and(first0, even), first, a0);
              a4 = dotPairs(v128.and(first4, even), first, a4);
              const second = v128.load32_splat(q, 4);
              a0 = dotPairs(v128.and(first0, odd), second, a0);
              a4 = dotPairs(v128.and(first4, odd), second, a4);
              const third = v128.load32_splat(q, 64);
              b0 = dotPairs(i16x8.shl(v128.and(second0, even), 4), third, b0);
              b4 = dotPairs(i16x8.shl(v128.and(second4, even), 4), third, b4);
              const fourth = v128.load32_splat(q, 68);
              b0 = dotPairs(i16x8.shr_u(second0, 8), fourth, b0);
              b4 = dotPairs(i16x8.shr_u(second4, 8), fourth, b4);
              q += 8;
            }
            bits0 = i16x8.shr_u(bits0, 2);
            bits4 = i16x8.shr_u(bits4, 2);
          }
        }
        c += 320;
        q += ASC_FEATURE_RELAXED_SIMD ? 32 : 64;
        if (!ASC_FEATURE_RELAXED_SIMD) {
          a0 = i32x4.shr_s(a0, 8);
          a4 = i32x4.shr_s(a4, 8);
          b0 = i32x4.shr_s(b0, 8);
          b4 = i32x4.shr_s(b4, 8);
        }
        const scaleA = v128.load8x8_u(head);
        const scaleB = v128.load8x8_u(head, 8);
        s0 = addScaledLow(addScaledLow(s0, a0, scaleA), b0, scaleB);
        s4 = addScaledHigh(addScaledHigh(s4, a4, scaleA), b4, scaleB);
        const both = v128.load32_splat(sums);
        m0 = dotPairs(v128.load8x8_u(head, 16), both, m0);
        m4 = dotPairs(v128.load8x8_u(head, 24), both, m4);
        head += 32;
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
