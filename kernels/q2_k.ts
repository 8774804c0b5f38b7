import {
  addBlock,
  dotBytes,
  dotPairs,
  dotSums,
  evenBytes,
  inverseScale,
  joinLow16,
  oddBytes,
  round16,
  scatter4,
  storeRows,
  sumBytes16,
} from "./lib/inline";
import { halfToFloat, highest256, isNotFinite } from "./lib/k-quants";

// q2_K block in a file: 256 weights of one row in 84 bytes, sixteen sub-blocks of 16 with a scale and a minimum of 4 bits each:
// w[i] = d * scale[j] * q[i] - dmin * minimum[j], q in 0..3, j = i / 16
//   0                                       16                                            80       82          84
//   |- scale[j] low, minimum[j] high u4[16] -|- q u2[256]: byte 32h + l, bits 2p and 2p+1, -|- d f16|- dmin f16 -|
//                                              hold q[128h + 32p + l]
//
// Packed: groups of 8 rows, per 256 columns one block of the 8 rows side by side, 704 bytes: 32 more than in the file, as d and
// dmin become f32 (see q4_k.ts). One 32-bit lane is sixteen columns of one row, so that no sum crosses lanes. The rows after the
// last are zero. Quarter c is the four sub-blocks whose weights share bytes: sub-block p of quarter c has the 16 columns from
// 128 (c / 2) + 32p + 16 (c % 2) on. Sub-blocks are counted in this order, 4c + p, here and in the encoded activations.
//   0            32              64                              192                                    704
//   |- d f32[8] -|- dmin f32[8] -|- for each 2 sub-blocks u8[8][2] -|- quarter 0: chunk 0 ... 3 | quarter 1 ... -|
//     u8[8][2]  scale low, minimum high, of a row's sub-blocks 2i and 2i + 1
//     chunk k   u8[8 rows, 4]: columns 4k..4k+3 of sub-block p of the quarter in bits 2p and 2p + 1
//
// Encoded activations, `tile` positions: int8 per 256 columns with a scale of max / 127, rounded half to even, in groups of 4
// bytes that hold the tile's positions side by side, sub-block after sub-block; then 8 groups of two int16: the sums of
// sub-blocks 2i and 2i + 1, for the minimums; then the scale as f32. The activations:
//   relaxed  four a group
//   simd     two groups of int16 pairs for each four columns c: (c, c+2) and (c+1, c+3); times 64, 16, 4, 1 in sub-blocks 4c, 4c + 1,
//            4c + 2, 4c + 3: the weights come out of their bytes as 1, 4, 16 and 64 times their value
// A sub-block's sum is at most 16 * 3 * 127 = 6096, which with its scale fits a product of int16; a block's 16 * 15 * 6096 < 2^21.
// Integer sums are exact, and the outputs bit-equal in both builds.

const BLOCK: usize = 84;
export const PACKED: usize = 704;
/** Bytes of a position's encoded activations before the sums. */
const ACTIVATIONS: usize = ASC_FEATURE_RELAXED_SIMD ? 256 : 512;

/**
 * Packs rows from a file: q2_K[rows, cols] -> packed q2_K[rows, cols]; cols a multiple of 256.
 * Returns the first row that holds an infinite or NaN scale, or -1.
 */
export function pack_q2_k(packed: usize, source: usize, rows: usize, cols: usize): isize {
  assert(cols % 256 === 0);
  const blocks = cols >> 8;
  for (let row: usize = 0; row < rows; row++) {
    const lane = row & 7;
    let out = packed + (row >> 3) * blocks * PACKED;
    // the rows that the last group lacks
    if (lane === 0 && rows - row < 8) memory.fill(out, 0, blocks * PACKED);
    for (let block: usize = 0; block < blocks; block++, out += PACKED, source += BLOCK) {
      const d = load<u16>(source, 80);
      const dmin = load<u16>(source, 82);
      if (isNotFinite(d) || isNotFinite(dmin)) return row;
      store<f32>(out + (lane << 2), halfToFloat(d));
      store<f32>(out + (lane << 2), halfToFloat(dmin), 32);
      for (let s: usize = 0; s < 16; s++) {
        const j = ((s >> 3) << 3) + ((s & 3) << 1) + ((s >> 2) & 1);
        store<u8>(out + 64 + ((s >> 1) << 4) + (lane << 1) + (s & 1), load<u8>(source + j));
      }
      let chunk = out + 192 + (lane << 2);
      for (let i: usize = 16; i < 80; i += 4, chunk += 32) store<u32>(chunk, load<u32>(source + i));
    }
  }
  return -1;
}

/** out = row `row` of a packed q2_K[.., cols]; out f32[cols]. d * scale * q and dmin * minimum are exact, so it is rounded once. */
export function embed_q2_k(out: usize, packed: usize, row: usize, cols: usize): void {
  const lane = row & 7;
  const three = i32x4.splat(3);
  const blocks = cols >> 8;
  let p = packed + (row >> 3) * blocks * PACKED;
  for (let block: usize = 0; block < blocks; block++, p += PACKED, out += 1024) {
    const d = load<f32>(p + (lane << 2));
    const dmin = load<f32>(p + (lane << 2), 32);
    for (let s: usize = 0; s < 16; s++) {
      const o = out + ((s >> 3) << 9) + ((s & 3) << 7) + ((s & 4) << 4);
      const both = <u32>load<u8>(p + 64 + ((s >> 1) << 4) + (lane << 1) + (s & 1));
      const scale = f32x4.splat(d * <f32>(both & 15));
      const minimum = f32x4.splat(dmin * <f32>(both >> 4));
      const chunk = p + 192 + ((s >> 2) << 7) + (lane << 2);
      for (let k: usize = 0; k < 4; k++) {
        const bytes = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(chunk + (k << 5))));
        const q = v128.and(i32x4.shr_u(bytes, (<i32>s & 3) << 1), three);
        v128.store(o + (k << 4), f32x4.sub(f32x4.mul(f32x4.convert_i32x4_s(q), scale), minimum));
      }
    }
  }
}

/** Quantizes and encodes `tile` positions for matvec_q2_k and matmul_q2_k: x f32[tile, cols] -> out, at most 548 bytes per block and position. */
export function encode_q2_k(out: usize, x: usize, cols: usize, tile: usize): void {
  assert(cols % 256 === 0);
  const group = tile << 2;
  for (let t: usize = 0; t < tile; t++) {
    let o = out + (t << 2);
    for (const end = x + (cols << 2); x < end; x += 1024) {
      const highest = highest256(x);
      const inverse = inverseScale(highest);
      const sums = o + (ASC_FEATURE_RELAXED_SIMD ? 64 : 128) * group;
      for (let s: usize = 0; s < 16; s++) {
        const a = round16(x + ((s >> 3) << 9) + ((s & 3) << 7) + ((s & 4) << 4), inverse);
        store<i16>(sums + (s >> 1) * group + ((s & 1) << 1), <i16>sumBytes16(a));
        if (ASC_FEATURE_RELAXED_SIMD) {
          scatter4(o, group, a);
          o += 4 * group;
        } else {
          const shift = 6 - ((<i32>s & 3) << 1);
          scatter4(o, 2 * group, i16x8.shl(evenBytes(a), shift));
          scatter4(o + group, 2 * group, i16x8.shl(oddBytes(a), shift));
          o += 8 * group;
        }
      }
      store<f32>(sums + 8 * group, highest / <f32>127);
      o = sums + 9 * group;
    }
  }
}

/**
 * out[row] = weights[row] . x for rows [rowBegin, rowEnd)
 *
 *   out      f32[rows]
 *   weights  packed q2_K[rows, cols]   rowBegin a multiple of 8, cols of 256
 *   x        encoded q2_K, one position
 */
export function matvec_q2_k(
  out: usize,
  weights: usize,
  x: usize,
  rowBegin: usize,
  rowEnd: usize,
  cols: usize,
): void {
  assert((rowBegin & 7) === 0 && cols % 256 === 0);
  const three = i8x16.splat(3);
  const bits0 = i16x8.splat(0x03);
  const bits1 = i16x8.splat(0x0c);
  const bits2 = i16x8.splat(0x30);
  const bits3 = i16x8.splat(0xc0);
  const nibble = i16x8.splat(15);
  const low16 = i32x4.splat(0xffff);
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
      let chunk = w + 192;
      for (w += PACKED; chunk < w; ) {
        // a quarter's sub-blocks: 0 for rows 0..3, 4 for rows 4..7
        let a0 = i32x4.splat(0);
        let b0 = a0;
        let c0 = a0;
        let d0 = a0;
        let a4 = a0;
        let b4 = a0;
        let c4 = a0;
        let d4 = a0;
        for (const chunks = chunk + 128; chunk < chunks; chunk += 32) {
          const w0 = v128.load(chunk);
          const w4 = v128.load(chunk, 16);
          if (ASC_FEATURE_RELAXED_SIMD) {
            let p = v128.load32_splat(q);
            a0 = dotBytes(p, v128.and(w0, three), a0);
            a4 = dotBytes(p, v128.and(w4, three), a4);
            p = v128.load32_splat(q, 16);
            b0 = dotBytes(p, v128.and(i16x8.shr_u(w0, 2), three), b0);
            b4 = dotBytes(p, v128.and(i16x8.shr_u(w4, 2), three), b4);
            p = v128.load32_splat(q, 32);
            c0 = dotBytes(p, v128.and(i16x8.shr_u(w0, 4), three), c0);
            c4 = dotBytes(p, v128.and(i16x8.shr_u(w4, 4), three), c4);
            p = v128.load32_splat(q, 48);
            d0 = dotBytes(p, v128.and(i16x8.shr_u(w0, 6), three), d0);
            d4 = dotBytes(p, v128.and(i16x8.shr_u(w4, 6), three), d4);
            q += 4;
          } else {
            let p = v128.load32_splat(q);
            a0 = dotPairs(v128.and(w0, bits0), p, a0);
            a4 = dotPairs(v128.and(w4, bits0), p, a4);
            p = v128.load32_splat(q, 32);
            b0 = dotPairs(v128.and(w0, bits1), p, b0);
            b4 = dotPairs(v128.and(w4, bits1), p, b4);
            p = v128.load32_splat(q, 64);
            c0 = dotPairs(v128.and(w0, bits2), p, c0);
            c4 = dotPairs(v128.and(w4, bits2), p, c4);
            p = v128.load32_splat(q, 96);
            d0 = dotPairs(v128.and(w0, bits3), p, d0);
            d4 = dotPairs(v128.and(w4, bits3), p, d4);
            const odd0 = i16x8.shr_u(w0, 8);
            const odd4 = i16x8.shr_u(w4, 8);
            p = v128.load32_splat(q, 4);
            a0 = dotPairs(v128.and(odd0, bits0), p, a0);
            a4 = dotPairs(v128.and(odd4, bits0), p, a4);
            p = v128.load32_splat(q, 36);
            b0 = dotPairs(v128.and(odd0, bits1), p, b0);
            b4 = dotPairs(v128.and(odd4, bits1), p, b4);
            p = v128.load32_splat(q, 68);
            c0 = dotPairs(v128.and(odd0, bits2), p, c0);
            c4 = dotPairs(v128.and(odd4, bits2), p, c4);
            p = v128.load32_splat(q, 100);
            d0 = dotPairs(v128.and(odd0, bits3), p, d0);
            d4 = dotPairs(v128.and(odd4, bits3), p, d4);
            q += 8;
          }
        }
        q += ASC_FEATURE_RELAXED_SIMD ? 48 : 96;
        if (!ASC_FEATURE_RELAXED_SIMD) {
          a0 = i32x4.shr_s(a0, 6);
          b0 = i32x4.shr_s(b0, 6);
          c0 = i32x4.shr_s(c0, 6);
          d0 = i32x4.shr_s(d0, 6);
          a4 = i32x4.shr_s(a4, 6);
          b4 = i32x4.shr_s(b4, 6);
          c4 = i32x4.shr_s(c4, 6);
          d4 = i32x4.shr_s(d4, 6);
        }
        let both = v128.load32_splat(sums);
        let scale0 = v128.load8x8_u(head);
        let scale4 = v128.load8x8_u(head, 8);
        s0 = dotPairs(joinLow16(dotSums(a0), dotSums(b0), low16), v128.and(scale0, nibble), s0);
        s4 = dotPairs(joinLow16(dotSums(a4), dotSums(b4), low16), v128.and(scale4, nibble), s4);
        m0 = dotPairs(i16x8.shr_u(scale0, 4), both, m0);
        m4 = dotPairs(i16x8.shr_u(scale4, 4), both, m4);
        both = v128.load32_splat(sums, 4);
        scale0 = v128.load8x8_u(head, 16);
        scale4 = v128.load8x8_u(head, 24);
        s0 = dotPairs(joinLow16(dotSums(c0), dotSums(d0), low16), v128.and(scale0, nibble), s0);
        s4 = dotPairs(joinLow16(dotSums(c4), dotSums(d4), low16), v128.and(scale4, nibble), s4);
        m0 = dotPairs(i16x8.shr_u(scale0, 4), both, m0);
        m4 = dotPairs(i16x8.shr_u(scale4, 4), both, m4);
        head += 32;
        sums += 8;
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
