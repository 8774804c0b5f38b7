import {
  addScaledHigh,
  addScaledLow,
  dotPairs,
  dotTwo,
  lastColumns4,
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
 * Eight rows x four positions at a time, one sub-block after the other: eight accumulators.
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
  const bits = i8x16.splat(63);
  const bits0 = i8x16.splat(3);
  const bits1 = i8x16.splat(12);
  const bits2 = i8x16.splat(48);
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
        for (let planes = w + 160; planes < w + PACKED; planes += 96, scales += 8, sums += 16) {
          let a0 = v128.load32_splat(sums);
          let a1 = v128.load32_splat(sums, 4);
          let a2 = v128.load32_splat(sums, 8);
          let a3 = v128.load32_splat(sums, 12);
          let b0 = a0;
          let b1 = a1;
          let b2 = a2;
          let b3 = a3;
          if (ASC_FEATURE_RELAXED_SIMD) {
            const u0 = v128.load(planes);
            const v0 = v128.load(planes, 16);
            const u1 = v128.load(planes, 32);
            const v1 = v128.load(planes, 48);
            let u = v128.and(u0, bits);
            let v = v128.and(v0, bits);
            let uu = v128.and(u1, bits);
            let vv = v128.and(v1, bits);
            // q moves on rather than the offsets: V8 computes base + offset apart for each of these loads
            let next = q + 16;
            let p = v128.load32_splat(q);
            let r = v128.load32_splat(next);
            a0 = dotTwo(p, u, r, uu, a0);
            b0 = dotTwo(p, v, r, vv, b0);
            p = v128.load32_splat(q, 4);
            r = v128.load32_splat(next, 4);
            a1 = dotTwo(p, u, r, uu, a1);
            b1 = dotTwo(p, v, r, vv, b1);
            p = v128.load32_splat(q, 8);
            r = v128.load32_splat(next, 8);
            a2 = dotTwo(p, u, r, uu, a2);
            b2 = dotTwo(p, v, r, vv, b2);
            p = v128.load32_splat(q, 12);
            r = v128.load32_splat(next, 12);
            a3 = dotTwo(p, u, r, uu, a3);
            b3 = dotTwo(p, v, r, vv, b3);
            q += 32;
            next += 32;
            const u2 = v128.load(planes, 64);
            const v2 = v128.load(planes, 80);
            u = v128.and(u2, bits);
            v = v128.and(v2, bits);
            uu = lastColumns4(u0, u1, u2, bits0, bits1, bits2);
            vv = lastColumns4(v0, v1, v2, bits0, bits1, bits2);
            p = v128.load32_splat(q);
            r = v128.load32_splat(next);
            a0 = dotTwo(p, u, r, uu, a0);
            b0 = dotTwo(p, v, r, vv, b0);
            p = v128.load32_splat(q, 4);
            r = v128.load32_splat(next, 4);
            a1 = dotTwo(p, u, r, uu, a1);
            b1 = dotTwo(p, v, r, vv, b1);
            p = v128.load32_splat(q, 8);
            r = v128.load32_splat(next, 8);
            a2 = dotTwo(p, u, r, uu, a2);
            b2 = dotTwo(p, v, r, vv, b2);
            p = v128.load32_splat(q, 12);
            r = v128.load32_splat(next, 12);
            a3 = dotTwo(p, u, r, uu, a3);
            b3 = dotTwo(p, v, r, vv, b3);
            q += 32;
          } else {
            for (let plane = planes; plane < planes + 96; plane += 32, q += 32) {
              const w0 = v128.and(v128.load(plane), bits);
              const w4 = v128.and(v128.load(plane, 16), bits);
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
            }
            const w0 = lastColumns4(
              v128.load(planes),
              v128.load(planes, 32),
              v128.load(planes, 64),
              bits0,
              bits1,
              bits2,
            );
            const w4 = lastColumns4(
              v128.load(planes, 16),
              v128.load(planes, 48),
              v128.load(planes, 80),
              bits0,
              bits1,
              bits2,
            );
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
          const scale = v128.load8x8_s(scales);
          s0 = addScaledLow(s0, a0, scale);
          r0 = addScaledHigh(r0, b0, scale);
          s1 = addScaledLow(s1, a1, scale);
          r1 = addScaledHigh(r1, b1, scale);
          s2 = addScaledLow(s2, a2, scale);
          r2 = addScaledHigh(r2, b2, scale);
          s3 = addScaledLow(s3, a3, scale);
          r3 = addScaledHigh(r3, b3, scale);
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
