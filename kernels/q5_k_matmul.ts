import {
  addBlock,
  addScaledHigh,
  addScaledLow,
  columns20,
  columns28,
  dotPairs,
  dotTwo,
  position0,
  position1,
  position2,
  position3,
  storeRows,
} from "./lib/inline";
import { PACKED } from "./q5_k";

// Layouts and the order of additions: q5_k.ts.

/**
 * out[t, row] = weights[row] . x[t] for rows [rowBegin, rowEnd) and tiles of four positions
 *
 *   out      f32[4 tiles, rows]
 *   weights  packed q5_K[rows, cols]   rowBegin a multiple of 8, cols of 256
 *   x        encoded q5_K, four positions a tile, `tileBytes` from tile to tile
 *
 * Eight rows x four positions at a time, one sub-block after the other: eight accumulators.
 */
export function matmul_q5_k(
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
  const five = i8x16.splat(31);
  const low = i8x16.splat(7);
  const high = i8x16.splat(24);
  const bit3 = i8x16.splat(8);
  const bit4 = i8x16.splat(16);
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
        let head = w + 64;
        let planes = w + 192;
        for (let j: usize = 0; j < 8; j++, planes += 160) {
          let a0 = i32x4.splat(0);
          let a1 = a0;
          let a2 = a0;
          let a3 = a0;
          let b0 = a0;
          let b1 = a0;
          let b2 = a0;
          let b3 = a0;
          if (ASC_FEATURE_RELAXED_SIMD) {
            // columns 8k..8k+3 in u and v, rows 0..3 and 4..7; 8k+4..8k+7 in uu and vv
            for (let k: usize = 0; k < 4; k++, q += 32) {
              const plane = planes + (k << 6);
              let u: v128;
              let v: v128;
              let uu: v128;
              let vv: v128;
              if (k < 3) {
                u = v128.and(v128.load(plane), five);
                v = v128.and(v128.load(plane, 16), five);
              } else {
                u = columns20(planes + 64, low, high);
                v = columns20(planes + 80, low, high);
              }
              if (k < 2) {
                uu = v128.and(v128.load(plane, 32), five);
                vv = v128.and(v128.load(plane, 48), five);
              } else if (k === 2) {
                uu = columns20(planes, low, high);
                vv = columns20(planes + 16, low, high);
              } else {
                uu = columns28(planes, low, bit3, bit4);
                vv = columns28(planes + 16, low, bit3, bit4);
              }
              const next = q + 16;
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
            }
          } else {
            for (let k: usize = 0; k < 8; k++, q += 32) {
              let w0: v128;
              let w4: v128;
              if (k < 5) {
                w0 = v128.and(v128.load(planes + (k << 5)), five);
                w4 = v128.and(v128.load(planes + (k << 5), 16), five);
              } else if (k < 7) {
                w0 = columns20(planes + ((k - 5) << 6), low, high);
                w4 = columns20(planes + ((k - 5) << 6) + 16, low, high);
              } else {
                w0 = columns28(planes, low, bit3, bit4);
                w4 = columns28(planes + 16, low, bit3, bit4);
              }
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
          }
          const scale = v128.load8x8_u(head + ((j >> 1) << 5) + ((j & 1) << 3));
          s0 = addScaledLow(s0, a0, scale);
          r0 = addScaledHigh(r0, b0, scale);
          s1 = addScaledLow(s1, a1, scale);
          r1 = addScaledHigh(r1, b1, scale);
          s2 = addScaledLow(s2, a2, scale);
          r2 = addScaledHigh(r2, b2, scale);
          s3 = addScaledLow(s3, a3, scale);
          r3 = addScaledHigh(r3, b3, scale);
        }
        // the minimums: m rows 0..3, n rows 4..7
        let m0 = i32x4.splat(0);
        let m1 = m0;
        let m2 = m0;
        let m3 = m0;
        let n0 = m0;
        let n1 = m0;
        let n2 = m0;
        let n3 = m0;
        for (; head < w + 192; head += 32, q += 16) {
          const u = v128.load8x8_u(head, 16);
          const v = v128.load8x8_u(head, 24);
          let p = v128.load32_splat(q);
          m0 = dotPairs(u, p, m0);
          n0 = dotPairs(v, p, n0);
          p = v128.load32_splat(q, 4);
          m1 = dotPairs(u, p, m1);
          n1 = dotPairs(v, p, n1);
          p = v128.load32_splat(q, 8);
          m2 = dotPairs(u, p, m2);
          n2 = dotPairs(v, p, n2);
          p = v128.load32_splat(q, 12);
          m3 = dotPairs(u, p, m3);
          n3 = dotPairs(v, p, n3);
        }
        const d0 = v128.load(w);
        const d4 = v128.load(w, 16);
        const dmin0 = v128.load(w, 32);
        const dmin4 = v128.load(w, 48);
        let scale = v128.load32_splat(q);
        y0 = addBlock(y0, scale, d0, s0, dmin0, m0);
        z0 = addBlock(z0, scale, d4, r0, dmin4, n0);
        scale = v128.load32_splat(q, 4);
        y1 = addBlock(y1, scale, d0, s1, dmin0, m1);
        z1 = addBlock(z1, scale, d4, r1, dmin4, n1);
        scale = v128.load32_splat(q, 8);
        y2 = addBlock(y2, scale, d0, s2, dmin0, m2);
        z2 = addBlock(z2, scale, d4, r2, dmin4, n2);
        scale = v128.load32_splat(q, 12);
        y3 = addBlock(y3, scale, d0, s3, dmin0, m3);
        z3 = addBlock(z3, scale, d4, r3, dmin4, n3);
        q += 16;
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
