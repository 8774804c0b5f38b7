import {
  addScaledHigh,
  addScaledLow,
  dotPairs,
  dotWide,
  mulAdd,
  position0,
  position1,
  position2,
  position3,
  storeRows,
} from "./lib/inline";
import { ACTIVATIONS, PACKED } from "./q6_k";

// Layouts and the order of additions: q6_k.ts.

/**
 * out[t, row] = weights[row] . x[t] for rows [rowBegin, rowEnd) and tiles of four positions
 *
 *   out      f32[4 tiles, rows]
 *   weights  packed q6_K[rows, cols]   rowBegin a multiple of 8, cols of 256
 *   x        encoded q6_K, four positions a tile, `tileBytes` from tile to tile
 *
 * Eight rows x four positions at a time, one sub-block after the other: with two at once the accumulators would not fit the
 * registers.
 */
export function matmul_q6_k(
  out: usize,
  weights: usize,
  x: usize,
  rowBegin: usize,
  rowEnd: usize,
  rows: usize,
  cols: usize,
  tiles: usize,
  tileBytes: usize,
): void {
  assert((rowBegin & 7) === 0 && cols % 256 === 0 && rowEnd <= rows);
  const low = i8x16.splat(15);
  const high0 = i8x16.splat(3);
  const high1 = i8x16.splat(12);
  const high2 = i8x16.splat(48);
  const even = i16x8.splat(255);
  const groupBytes = (cols >> 8) * PACKED;
  const outBytes = rows << 2;
  for (let row = rowBegin; row < rowEnd; row += 8) {
    const group = weights + (row >> 3) * groupBytes;
    const count = rowEnd - row;
    for (let tile: usize = 0; tile < tiles; tile++) {
      let w = group;
      let q = x + tile * tileBytes;
      const end = w + groupBytes;
      // y: rows 0..3 of positions 0..3; z: rows 4..7
      let y0 = f32x4.splat(0);
      let y1 = y0;
      let y2 = y0;
      let y3 = y0;
      let z0 = y0;
      let z1 = y0;
      let z2 = y0;
      let z3 = y0;
      while (w < end) {
        // s: a block's sums, rows 0..3; r: rows 4..7
        let s0 = i32x4.splat(0);
        let s1 = s0;
        let s2 = s0;
        let s3 = s0;
        let r0 = s0;
        let r1 = s0;
        let r2 = s0;
        let r3 = s0;
        let sums = q + 4 * ACTIVATIONS;
        let scales = w + 32;
        for (let quarter = w + 160; quarter < w + PACKED; quarter += 384) {
          let a0 = v128.load32_splat(sums);
          let a1 = v128.load32_splat(sums, 4);
          let a2 = v128.load32_splat(sums, 8);
          let a3 = v128.load32_splat(sums, 12);
          let b0 = a0;
          let b1 = a1;
          let b2 = a2;
          let b3 = a3;
          for (let c = quarter; c < quarter + 384; c += 96) {
            const w0 = v128.or(v128.and(v128.load(c, 32), low), i16x8.shl(v128.and(v128.load(c), high0), 4));
            const w4 = v128.or(
              v128.and(v128.load(c, 48), low),
              i16x8.shl(v128.and(v128.load(c, 16), high0), 4),
            );
            if (ASC_FEATURE_RELAXED_SIMD) {
              let p = v128.load32_splat(q);
              a0 = dotWide(p, w0, a0);
              b0 = dotWide(p, w4, b0);
              p = v128.load32_splat(q, 4);
              a1 = dotWide(p, w0, a1);
              b1 = dotWide(p, w4, b1);
              p = v128.load32_splat(q, 8);
              a2 = dotWide(p, w0, a2);
              b2 = dotWide(p, w4, b2);
              p = v128.load32_splat(q, 12);
              a3 = dotWide(p, w0, a3);
              b3 = dotWide(p, w4, b3);
              q += 16;
            } else {
              let u = v128.and(w0, even);
              let v = v128.and(w4, even);
              let columns = v128.load(q);
              let p = position0(q, columns);
              a0 = dotPairs(u, p, a0);
              b0 = dotPairs(v, p, b0);
              p = position1(q, columns);
              a1 = dotPairs(u, p, a1);
              b1 = dotPairs(v, p, b1);
              p = position2(q, columns);
              a2 = dotPairs(u, p, a2);
              b2 = dotPairs(v, p, b2);
              p = position3(q, columns);
              a3 = dotPairs(u, p, a3);
              b3 = dotPairs(v, p, b3);
              u = i16x8.shr_u(w0, 8);
              v = i16x8.shr_u(w4, 8);
              columns = v128.load(q, 16);
              p = position0(q + 16, columns);
              a0 = dotPairs(u, p, a0);
              b0 = dotPairs(v, p, b0);
              p = position1(q + 16, columns);
              a1 = dotPairs(u, p, a1);
              b1 = dotPairs(v, p, b1);
              p = position2(q + 16, columns);
              a2 = dotPairs(u, p, a2);
              b2 = dotPairs(v, p, b2);
              p = position3(q + 16, columns);
              a3 = dotPairs(u, p, a3);
              b3 = dotPairs(v, p, b3);
              q += 32;
            }
          }
          let scale = v128.load8x8_s(scales);
          s0 = addScaledLow(s0, a0, scale);
          r0 = addScaledHigh(r0, b0, scale);
          s1 = addScaledLow(s1, a1, scale);
          r1 = addScaledHigh(r1, b1, scale);
          s2 = addScaledLow(s2, a2, scale);
          r2 = addScaledHigh(r2, b2, scale);
          s3 = addScaledLow(s3, a3, scale);
          r3 = addScaledHigh(r3, b3, scale);
          a0 = v128.load32_splat(sums, 16);
          a1 = v128.load32_splat(sums, 20);
          a2 = v128.load32_splat(sums, 24);
          a3 = v128.load32_splat(sums, 28);
          b0 = a0;
          b1 = a1;
          b2 = a2;
          b3 = a3;
          for (let c = quarter; c < quarter + 384; c += 96) {
            const w0 = v128.or(
              v128.and(i16x8.shr_u(v128.load(c, 32), 4), low),
              i16x8.shl(v128.and(v128.load(c), high1), 2),
            );
            const w4 = v128.or(
              v128.and(i16x8.shr_u(v128.load(c, 48), 4), low),
              i16x8.shl(v128.and(v128.load(c, 16), high1), 2),
            );
            if (ASC_FEATURE_RELAXED_SIMD) {
              let p = v128.load32_splat(q);
              a0 = dotWide(p, w0, a0);
              b0 = dotWide(p, w4, b0);
              p = v128.load32_splat(q, 4);
              a1 = dotWide(p, w0, a1);
              b1 = dotWide(p, w4, b1);
              p = v128.load32_splat(q, 8);
              a2 = dotWide(p, w0, a2);
              b2 = dotWide(p, w4, b2);
              p = v128.load32_splat(q, 12);
              a3 = dotWide(p, w0, a3);
              b3 = dotWide(p, w4, b3);
              q += 16;
            } else {
              let u = v128.and(w0, even);
              let v = v128.and(w4, even);
              let columns = v128.load(q);
              let p = position0(q, columns);
              a0 = dotPairs(u, p, a0);
              b0 = dotPairs(v, p, b0);
              p = position1(q, columns);
              a1 = dotPairs(u, p, a1);
              b1 = dotPairs(v, p, b1);
              p = position2(q, columns);
              a2 = dotPairs(u, p, a2);
              b2 = dotPairs(v, p, b2);
              p = position3(q, columns);
              a3 = dotPairs(u, p, a3);
              b3 = dotPairs(v, p, b3);
              u = i16x8.shr_u(w0, 8);
              v = i16x8.shr_u(w4, 8);
              columns = v128.load(q, 16);
              p = position0(q + 16, columns);
              a0 = dotPairs(u, p, a0);
              b0 = dotPairs(v, p, b0);
              p = position1(q + 16, columns);
              a1 = dotPairs(u, p, a1);
              b1 = dotPairs(v, p, b1);
              p = position2(q + 16, columns);
              a2 = dotPairs(u, p, a2);
              b2 = dotPairs(v, p, b2);
              p = position3(q + 16, columns);
              a3 = dotPairs(u, p, a3);
              b3 = dotPairs(v, p, b3);
              q += 32;
            }
          }
          scale = v128.load8x8_s(scales, 8);
          s0 = addScaledLow(s0, a0, scale);
          r0 = addScaledHigh(r0, b0, scale);
          s1 = addScaledLow(s1, a1, scale);
          r1 = addScaledHigh(r1, b1, scale);
          s2 = addScaledLow(s2, a2, scale);
          r2 = addScaledHigh(r2, b2, scale);
          s3 = addScaledLow(s3, a3, scale);
          r3 = addScaledHigh(r3, b3, scale);
          a0 = v128.load32_splat(sums, 32);
          a1 = v128.load32_splat(sums, 36);
          a2 = v128.load32_splat(sums, 40);
          a3 = v128.load32_splat(sums, 44);
          b0 = a0;
          b1 = a1;
          b2 = a2;
          b3 = a3;
          for (let c = quarter; c < quarter + 384; c += 96) {
            const w0 = v128.or(v128.and(v128.load(c, 64), low), v128.and(v128.load(c), high2));
            const w4 = v128.or(v128.and(v128.load(c, 80), low), v128.and(v128.load(c, 16), high2));
            if (ASC_FEATURE_RELAXED_SIMD) {
              let p = v128.load32_splat(q);
              a0 = dotWide(p, w0, a0);
              b0 = dotWide(p, w4, b0);
              p = v128.load32_splat(q, 4);
              a1 = dotWide(p, w0, a1);
              b1 = dotWide(p, w4, b1);
              p = v128.load32_splat(q, 8);
              a2 = dotWide(p, w0, a2);
              b2 = dotWide(p, w4, b2);
              p = v128.load32_splat(q, 12);
              a3 = dotWide(p, w0, a3);
              b3 = dotWide(p, w4, b3);
              q += 16;
            } else {
              let u = v128.and(w0, even);
              let v = v128.and(w4, even);
              let columns = v128.load(q);
              let p = position0(q, columns);
              a0 = dotPairs(u, p, a0);
              b0 = dotPairs(v, p, b0);
              p = position1(q, columns);
              a1 = dotPairs(u, p, a1);
              b1 = dotPairs(v, p, b1);
              p = position2(q, columns);
              a2 = dotPairs(u, p, a2);
              b2 = dotPairs(v, p, b2);
              p = position3(q, columns);
              a3 = dotPairs(u, p, a3);
              b3 = dotPairs(v, p, b3);
              u = i16x8.shr_u(w0, 8);
              v = i16x8.shr_u(w4, 8);
              columns = v128.load(q, 16);
              p = position0(q + 16, columns);
              a0 = dotPairs(u, p, a0);
              b0 = dotPairs(v, p, b0);
              p = position1(q + 16, columns);
              a1 = dotPairs(u, p, a1);
              b1 = dotPairs(v, p, b1);
              p = position2(q + 16, columns);
              a2 = dotPairs(u, p, a2);
              b2 = dotPairs(v, p, b2);
              p = position3(q + 16, columns);
              a3 = dotPairs(u, p, a3);
              b3 = dotPairs(v, p, b3);
              q += 32;
            }
          }
          scale = v128.load8x8_s(scales, 16);
          s0 = addScaledLow(s0, a0, scale);
          r0 = addScaledHigh(r0, b0, scale);
          s1 = addScaledLow(s1, a1, scale);
          r1 = addScaledHigh(r1, b1, scale);
          s2 = addScaledLow(s2, a2, scale);
          r2 = addScaledHigh(r2, b2, scale);
          s3 = addScaledLow(s3, a3, scale);
          r3 = addScaledHigh(r3, b3, scale);
          a0 = v128.load32_splat(sums, 48);
          a1 = v128.load32_splat(sums, 52);
          a2 = v128.load32_splat(sums, 56);
          a3 = v128.load32_splat(sums, 60);
          b0 = a0;
          b1 = a1;
          b2 = a2;
          b3 = a3;
          for (let c = quarter; c < quarter + 384; c += 96) {
            const w0 = v128.or(
              v128.and(i16x8.shr_u(v128.load(c, 64), 4), low),
              v128.and(i16x8.shr_u(v128.load(c), 2), high2),
            );
            const w4 = v128.or(
              v128.and(i16x8.shr_u(v128.load(c, 80), 4), low),
              v128.and(i16x8.shr_u(v128.load(c, 16), 2), high2),
            );
            if (ASC_FEATURE_RELAXED_SIMD) {
              let p = v128.load32_splat(q);
              a0 = dotWide(p, w0, a0);
              b0 = dotWide(p, w4, b0);
              p = v128.load32_splat(q, 4);
              a1 = dotWide(p, w0, a1);
              b1 = dotWide(p, w4, b1);
              p = v128.load32_splat(q, 8);
              a2 = dotWide(p, w0, a2);
              b2 = dotWide(p, w4, b2);
              p = v128.load32_splat(q, 12);
              a3 = dotWide(p, w0, a3);
              b3 = dotWide(p, w4, b3);
              q += 16;
            } else {
              let u = v128.and(w0, even);
              let v = v128.and(w4, even);
              let columns = v128.load(q);
              let p = position0(q, columns);
              a0 = dotPairs(u, p, a0);
              b0 = dotPairs(v, p, b0);
              p = position1(q, columns);
              a1 = dotPairs(u, p, a1);
              b1 = dotPairs(v, p, b1);
              p = position2(q, columns);
              a2 = dotPairs(u, p, a2);
              b2 = dotPairs(v, p, b2);
              p = position3(q, columns);
              a3 = dotPairs(u, p, a3);
              b3 = dotPairs(v, p, b3);
              u = i16x8.shr_u(w0, 8);
              v = i16x8.shr_u(w4, 8);
              columns = v128.load(q, 16);
              p = position0(q + 16, columns);
              a0 = dotPairs(u, p, a0);
              b0 = dotPairs(v, p, b0);
              p = position1(q + 16, columns);
              a1 = dotPairs(u, p, a1);
              b1 = dotPairs(v, p, b1);
              p = position2(q + 16, columns);
              a2 = dotPairs(u, p, a2);
              b2 = dotPairs(v, p, b2);
              p = position3(q + 16, columns);
              a3 = dotPairs(u, p, a3);
              b3 = dotPairs(v, p, b3);
              q += 32;
            }
          }
          scale = v128.load8x8_s(scales, 24);
          s0 = addScaledLow(s0, a0, scale);
          r0 = addScaledHigh(r0, b0, scale);
          s1 = addScaledLow(s1, a1, scale);
          r1 = addScaledHigh(r1, b1, scale);
          s2 = addScaledLow(s2, a2, scale);
          r2 = addScaledHigh(r2, b2, scale);
          s3 = addScaledLow(s3, a3, scale);
          r3 = addScaledHigh(r3, b3, scale);
          scales += 32;
          sums += 64;
        }
        const d0 = v128.load(w);
        const d4 = v128.load(w, 16);
        let xScale = v128.load32_splat(sums);
        y0 = mulAdd(f32x4.convert_i32x4_s(s0), f32x4.mul(d0, xScale), y0);
        z0 = mulAdd(f32x4.convert_i32x4_s(r0), f32x4.mul(d4, xScale), z0);
        xScale = v128.load32_splat(sums, 4);
        y1 = mulAdd(f32x4.convert_i32x4_s(s1), f32x4.mul(d0, xScale), y1);
        z1 = mulAdd(f32x4.convert_i32x4_s(r1), f32x4.mul(d4, xScale), z1);
        xScale = v128.load32_splat(sums, 8);
        y2 = mulAdd(f32x4.convert_i32x4_s(s2), f32x4.mul(d0, xScale), y2);
        z2 = mulAdd(f32x4.convert_i32x4_s(r2), f32x4.mul(d4, xScale), z2);
        xScale = v128.load32_splat(sums, 12);
        y3 = mulAdd(f32x4.convert_i32x4_s(s3), f32x4.mul(d0, xScale), y3);
        z3 = mulAdd(f32x4.convert_i32x4_s(r3), f32x4.mul(d4, xScale), z3);
        q = sums + 16;
        w += PACKED;
      }
      const o = out + tile * (outBytes << 2) + (row << 2);
      storeRows(o, y0, z0, count);
      storeRows(o + outBytes, y1, z1, count);
      storeRows(o + 2 * outBytes, y2, z2, count);
      storeRows(o + 3 * outBytes, y3, z3, count);
    }
  }
}
