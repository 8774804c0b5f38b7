import { addBlock, addScaledHigh, addScaledLow, dotBytes, dotPairs, dotSums, storeRows } from "./lib/inline";
import { encodeWithSums, packHead } from "./lib/k-quants";

// q4_K block in a file: 256 weights of one row in 144 bytes, eight sub-blocks of 32 with a scale and a minimum of 6 bits each:
// w[i] = d * scale[j] * q[i] - dmin * minimum[j], q in 0..15, j = i / 32
//   0       2          4                                    16                                                      144
//   |- d f16|- dmin f16|- scales and minimums, 6 bits each -|- q u4[256]: byte 32p + i holds q[64p + i], q[64p + 32 + i] -|
//
// Packed: groups of 8 rows, per 256 columns one block of the 8 rows side by side, 1216 bytes: 2.7 % more than 8 blocks of
// the file, as the minimums and scales get bytes of their own and d and dmin become f32: they are about 1e-4, near the
// smallest normal half float, and those below it would be subnormal in f32 as scaledHalf4 leaves them, which some processors multiply
// slowly. One 32-bit lane is eight columns of one row, so that no sum crosses lanes. The rows after the last are zero.
// Pair p is sub-blocks 2p and 2p + 1.
//   0             32               64                      192                                                   1216
//   |- d f32[8] --|- dmin f32[8] --|- pair 0: 32 bytes ... -|- pair 0: chunk 0 ... chunk 7 | pair 1 ... pair 3 -----|
//     pair in the head   scale[2p] u8[8], scale[2p+1] u8[8], then for each row the two minimums, u8[8][2]
//     chunk k of pair p  u8[8 rows, 4]: columns 64p + 4k + 0..3 low, 64p + 32 + 4k + 0..3 high
//
// Encoded activations: encodeWithSums in lib/k-quants.ts, int8 for 256 columns with one scale, and the sums of each 32 for the
// minimums. In the simd build the weights come out of their bytes as 1, 256, 16 and 1 times their value and the
// activations carry 256, 1, 16 and 256, so that every product is 256 times the true one: the sum of a sub-block, at most
// 32 * 15 * 127 * 256 < 2^24, is divided by 256, exactly. A block's sum is at most 8 * 63 * 60960 < 2^25.
// Integer sums are exact, and the outputs bit-equal in both builds.

const BLOCK: usize = 144;
export const PACKED: usize = 1216;
/** Bytes of a position's encoded activations before the sums. */
const ACTIVATIONS: usize = ASC_FEATURE_RELAXED_SIMD ? 256 : 512;

/**
 * Packs rows from a file: q4_K[rows, cols] -> packed q4_K[rows, cols]; cols a multiple of 256.
 * Returns the first row that holds an infinite or NaN scale, or -1.
 */
export function pack_q4_k(packed: usize, source: usize, rows: usize, cols: usize): isize {
  assert(cols % 256 === 0);
  const blocks = cols >> 8;
  for (let row: usize = 0; row < rows; row++) {
    let out = packed + (row >> 3) * blocks * PACKED;
    // the rows that the last group lacks
    if ((row & 7) === 0 && rows - row < 8) memory.fill(out, 0, blocks * PACKED);
    for (let block: usize = 0; block < blocks; block++, out += PACKED, source += BLOCK) {
      if (!packHead(out, source, row & 7)) return row;
      let chunk = out + 192 + ((row & 7) << 2);
      for (let i: usize = 16; i < BLOCK; i += 4, chunk += 32) store<u32>(chunk, load<u32>(source + i));
    }
  }
  return -1;
}

/** out = row `row` of a packed q4_K[.., cols]; out f32[cols]. d * scale * q and dmin * minimum are exact, so it is rounded once. */
export function embed_q4_k(out: usize, packed: usize, row: usize, cols: usize): void {
  const low = i32x4.splat(15);
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
      const q = p + 192 + pair * 256 + ((row & 7) << 2);
      for (let k: usize = 0; k < 8; k++) {
        const bytes = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(q + (k << 5))));
        const first = v128.and(bytes, low);
        const second = i32x4.shr_u(bytes, 4);
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

/** Quantizes and encodes `tile` positions for matvec_q4_k and matmul_q4_k: x f32[tile, cols] -> out, at most 532 bytes per block and position. */
export function encode_q4_k(out: usize, x: usize, cols: usize, tile: usize): void {
  encodeWithSums(out, x, cols, tile, true);
}

/**
 * out[row] = weights[row] . x for rows [rowBegin, rowEnd)
 *
 *   out      f32[rows]
 *   weights  packed q4_K[rows, cols]   rowBegin a multiple of 8, cols of 256
 *   x        encoded q4_K, one position
 */
export function matvec_q4_k(
  out: usize,
  weights: usize,
  x: usize,
  rowBegin: usize,
  rowEnd: usize,
  cols: usize,
): void {
  assert((rowBegin & 7) === 0 && cols % 256 === 0);
  const low = i8x16.splat(15);
  const nibble0 = i16x8.splat(0x000f);
  const nibble1 = i16x8.splat(0x00f0);
  const nibble2 = i16x8.splat(0x0f00);
  // biome-ignore format: a list of arguments
  multiply(out, weights, x, rowBegin, rowEnd, cols,
    low, nibble0, nibble1, nibble2);
}

/** The constants are arguments, as in q4_0.ts: 1.06 x on V8 11. */
function multiply(
  out: usize,
  weights: usize,
  x: usize,
  rowBegin: usize,
  rowEnd: usize,
  cols: usize,
  low: v128,
  nibble0: v128,
  nibble1: v128,
  nibble2: v128,
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
      let c = w + 192;
      for (w += PACKED; c < w; ) {
        // a: sub-block 2p, b: 2p + 1
        let a0 = i32x4.splat(0);
        let a4 = a0;
        let b0 = a0;
        let b4 = a0;
        for (const chunks = c + 256; c < chunks; c += 32) {
          const w0 = v128.load(c);
          const w4 = v128.load(c, 16);
          if (ASC_FEATURE_RELAXED_SIMD) {
            const first = v128.load32_splat(q);
            a0 = dotBytes(first, v128.and(w0, low), a0);
            a4 = dotBytes(first, v128.and(w4, low), a4);
            const second = v128.load32_splat(q, 32);
            b0 = dotBytes(second, v128.and(i16x8.shr_u(w0, 4), low), b0);
            b4 = dotBytes(second, v128.and(i16x8.shr_u(w4, 4), low), b4);
            q += 4;
          } else {
            const first = v128.load32_splat(q);
            a0 = dotPairs(v128.and(w0, nibble0), first, a0);
            a4 = dotPairs(v128.and(w4, nibble0), first, a4);
            const second = v128.load32_splat(q, 4);
            a0 = dotPairs(v128.and(w0, nibble2), second, a0);
            a4 = dotPairs(v128.and(w4, nibble2), second, a4);
            const third = v128.load32_splat(q, 64);
            b0 = dotPairs(v128.and(w0, nibble1), third, b0);
            b4 = dotPairs(v128.and(w4, nibble1), third, b4);
            const fourth = v128.load32_splat(q, 68);
            b0 = dotPairs(i16x8.shr_u(w0, 12), fourth, b0);
            b4 = dotPairs(i16x8.shr_u(w4, 12), fourth, b4);
            q += 8;
          }
        }
        q += ASC_FEATURE_RELAXED_SIMD ? 32 : 64;
        if (!ASC_FEATURE_RELAXED_SIMD) {
          a0 = i32x4.shr_s(a0, 8);
          a4 = i32x4.shr_s(a4, 8);
          b0 = i32x4.shr_s(b0, 8);
          b4 = i32x4.shr_s(b4, 8);
        }
        const scaleA = v128.load8x8_u(head);
        const scaleB = v128.load8x8_u(head, 8);
        s0 = addScaledLow(addScaledLow(s0, dotSums(a0), scaleA), dotSums(b0), scaleB);
        s4 = addScaledHigh(addScaledHigh(s4, dotSums(a4), scaleA), dotSums(b4), scaleB);
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
