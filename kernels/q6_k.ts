import {
  addScaledHigh,
  addScaledLow,
  dotSplit,
  dotWide,
  evenBytes,
  mulAdd,
  oddBytes,
  round16,
  scatter4,
  storeRows,
  sumBytes16,
} from "./lib/inline";
import { halfToFloat, highest256, isNotFinite } from "./lib/k-quants";

// q6_K block in a file: 256 weights of one row in 210 bytes, sixteen sub-blocks of 16 with a scale of 8 bits each:
// w[i] = d * scale[i / 16] * (q[i] - 32), q in 0..63. The halves of 128 columns are alike:
//   0                                                   128                                  192              208
//   |- low 4 bits: byte 64h + i, i = 0..63, holds those -|- high 2 bits: byte 32h + i, i =   -|- scale i8[16] -|- d f16 -|
//      of q[128h + i] and q[128h + 64 + i]                  0..31, those of q[128h + 32p + i] at bit 2p
//
// Packed: groups of 8 rows, per 256 columns one block of the 8 rows side by side, 1696 bytes, 16 more than in the file, since d
// becomes f32 (see q4_k.ts). One 32-bit lane is sixteen columns of one row, so that no sum crosses lanes. The rows after the
// last are zero. Quarter c is the four sub-blocks a, b, c, d of 64 columns.
//   0            32                               160                                       1696
//   |- d f32[8] -|- scale i8[16 sub-blocks, 8] ----|- quarter 0: chunk 0 ... 3 | quarter 1 ... -|
//     chunk k, 96 bytes   u8[8 rows, 4] three times: high bits of a, b, c, d in bits 0, 2, 4, 6; low bits of a low and b high;
//                         of c low and d high; columns 64 quarter + 16 sub-block + 4k + 0..3
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
      let chunk = out + 160 + (lane << 2);
      for (let quarter: usize = 0; quarter < 4; quarter++) {
        const low = source + ((quarter >> 1) << 6);
        const high = source + 128 + ((quarter >> 1) << 5);
        // the file's odd quarters lie in the upper halves of its bytes
        const shift = (<u32>quarter & 1) << 2;
        for (let k: usize = 0; k < 16; k += 4, chunk += 96) {
          const a = (load<u32>(low + k) >> shift) & 0x0f0f0f0f;
          const b = (load<u32>(low + k, 16) >> shift) & 0x0f0f0f0f;
          const c = (load<u32>(low + k, 32) >> shift) & 0x0f0f0f0f;
          const e = (load<u32>(low + k, 48) >> shift) & 0x0f0f0f0f;
          const ac = load<u32>(high + k) >> shift;
          const be = load<u32>(high + k, 16) >> shift;
          store<u32>(
            chunk,
            (ac & 0x03030303) |
              ((be & 0x03030303) << 2) |
              ((ac & 0x0c0c0c0c) << 2) |
              ((be & 0x0c0c0c0c) << 4),
          );
          store<u32>(chunk, a | (b << 4), 32);
          store<u32>(chunk, c | (e << 4), 64);
        }
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
    let chunk = p + 160 + (lane << 2);
    for (let quarter: usize = 0; quarter < 4; quarter++, out += 256) {
      const scales = p + 32 + (quarter << 5) + lane;
      for (let k: usize = 0; k < 64; k += 16, chunk += 96) {
        const high = load<u32>(chunk);
        const ab = load<u32>(chunk, 32);
        const cd = load<u32>(chunk, 64);
        for (let s: usize = 0; s < 4; s++) {
          const low = ((s & 2 ? cd : ab) >> ((<u32>s & 1) << 2)) & 0x0f0f0f0f;
          const six = low | (((high >> ((<u32>s) << 1)) & 0x03030303) << 4);
          const bytes = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(i32x4.splat(six)));
          const q = f32x4.convert_i32x4_s(i32x4.sub(bytes, i32x4.splat(32)));
          v128.store(out + k + (s << 6), f32x4.mul(q, f32x4.splat(d * <f32>load<i8>(scales + (s << 3)))));
        }
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
      const inverse = f32x4.splat(highest !== 0 ? <f32>127 / highest : 0);
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
  const low = i8x16.splat(15);
  const high0 = i8x16.splat(3);
  const high1 = i8x16.splat(12);
  const high2 = i8x16.splat(48);
  const even = i16x8.splat(255);
  const groupBytes = (cols >> 8) * PACKED;
  let w = weights + (rowBegin >> 3) * groupBytes;
  for (let row = rowBegin; row < rowEnd; row += 8) {
    const end = w + groupBytes;
    let y0 = f32x4.splat(0);
    let y4 = y0;
    let q = x;
    while (w < end) {
      const d = w;
      let s0 = i32x4.splat(0);
      let s4 = s0;
      let sums = q + ACTIVATIONS;
      let scales = w + 32;
      let chunk = w + 160;
      for (w += PACKED; chunk < w; ) {
        // a quarter's sub-blocks: 0 for rows 0..3, 4 for rows 4..7
        let a0 = v128.load32_splat(sums);
        let b0 = v128.load32_splat(sums, 4);
        let c0 = v128.load32_splat(sums, 8);
        let d0 = v128.load32_splat(sums, 12);
        let a4 = a0;
        let b4 = b0;
        let c4 = c0;
        let d4 = d0;
        for (const chunks = chunk + 384; chunk < chunks; chunk += 96) {
          let high = v128.load(chunk);
          let ab = v128.load(chunk, 32);
          let cd = v128.load(chunk, 64);
          let six = v128.or(v128.and(ab, low), i16x8.shl(v128.and(high, high0), 4));
          if (ASC_FEATURE_RELAXED_SIMD) a0 = dotWide(v128.load32_splat(q), six, a0);
          else a0 = dotSplit(six, v128.load32_splat(q), v128.load32_splat(q, 4), a0, even);
          six = v128.or(v128.and(i16x8.shr_u(ab, 4), low), i16x8.shl(v128.and(high, high1), 2));
          if (ASC_FEATURE_RELAXED_SIMD) b0 = dotWide(v128.load32_splat(q, 16), six, b0);
          else b0 = dotSplit(six, v128.load32_splat(q, 32), v128.load32_splat(q, 36), b0, even);
          six = v128.or(v128.and(cd, low), v128.and(high, high2));
          if (ASC_FEATURE_RELAXED_SIMD) c0 = dotWide(v128.load32_splat(q, 32), six, c0);
          else c0 = dotSplit(six, v128.load32_splat(q, 64), v128.load32_splat(q, 68), c0, even);
          six = v128.or(v128.and(i16x8.shr_u(cd, 4), low), v128.and(i16x8.shr_u(high, 2), high2));
          if (ASC_FEATURE_RELAXED_SIMD) d0 = dotWide(v128.load32_splat(q, 48), six, d0);
          else d0 = dotSplit(six, v128.load32_splat(q, 96), v128.load32_splat(q, 100), d0, even);
          high = v128.load(chunk, 16);
          ab = v128.load(chunk, 48);
          cd = v128.load(chunk, 80);
          six = v128.or(v128.and(ab, low), i16x8.shl(v128.and(high, high0), 4));
          if (ASC_FEATURE_RELAXED_SIMD) a4 = dotWide(v128.load32_splat(q), six, a4);
          else a4 = dotSplit(six, v128.load32_splat(q), v128.load32_splat(q, 4), a4, even);
          six = v128.or(v128.and(i16x8.shr_u(ab, 4), low), i16x8.shl(v128.and(high, high1), 2));
          if (ASC_FEATURE_RELAXED_SIMD) b4 = dotWide(v128.load32_splat(q, 16), six, b4);
          else b4 = dotSplit(six, v128.load32_splat(q, 32), v128.load32_splat(q, 36), b4, even);
          six = v128.or(v128.and(cd, low), v128.and(high, high2));
          if (ASC_FEATURE_RELAXED_SIMD) c4 = dotWide(v128.load32_splat(q, 32), six, c4);
          else c4 = dotSplit(six, v128.load32_splat(q, 64), v128.load32_splat(q, 68), c4, even);
          six = v128.or(v128.and(i16x8.shr_u(cd, 4), low), v128.and(i16x8.shr_u(high, 2), high2));
          if (ASC_FEATURE_RELAXED_SIMD) d4 = dotWide(v128.load32_splat(q, 48), six, d4);
          else d4 = dotSplit(six, v128.load32_splat(q, 96), v128.load32_splat(q, 100), d4, even);
          q += ASC_FEATURE_RELAXED_SIMD ? 4 : 8;
        }
        q += ASC_FEATURE_RELAXED_SIMD ? 48 : 96;
        let scale = v128.load8x8_s(scales);
        s0 = addScaledLow(s0, a0, scale);
        s4 = addScaledHigh(s4, a4, scale);
        scale = v128.load8x8_s(scales, 8);
        s0 = addScaledLow(s0, b0, scale);
        s4 = addScaledHigh(s4, b4, scale);
        scale = v128.load8x8_s(scales, 16);
        s0 = addScaledLow(s0, c0, scale);
        s4 = addScaledHigh(s4, c4, scale);
        scale = v128.load8x8_s(scales, 24);
        s0 = addScaledLow(s0, d0, scale);
        s4 = addScaledHigh(s4, d4, scale);
        scales += 32;
        sums += 16;
      }
      const xScale = v128.load32_splat(sums);
      y0 = mulAdd(f32x4.convert_i32x4_s(s0), f32x4.mul(v128.load(d), xScale), y0);
      y4 = mulAdd(f32x4.convert_i32x4_s(s4), f32x4.mul(v128.load(d, 16), xScale), y4);
      q = sums + 4;
    }
    storeRows(out + (row << 2), y0, y4, rowEnd - row);
  }
}
