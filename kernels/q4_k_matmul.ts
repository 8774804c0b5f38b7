import {
  addBlock,
  addScaledHigh,
  addScaledLow,
  dotBytes,
  dotPairs,
  dotSums,
  position0,
  position1,
  position2,
  position3,
  storeRows,
} from "./lib/inline";
import { PACKED } from "./q4_k";

// Layouts and the order of additions: q4_k.ts.

/**
 * out[t, row] = weights[row] . x[t] for rows [rowBegin, rowEnd) and tiles of four positions
 *
 *   out      f32[4 tiles, rows]
 *   weights  packed q4_K[rows, cols]   rowBegin a multiple of 8, cols of 256
 *   x        encoded q4_K, four positions a tile, `tileBytes` from tile to tile
 *
 * Eight rows x four positions at a time, one sub-block after the other: both halves of a pair at once would be sixteen
 * accumulators, as many as there are registers.
 */
export function matmul_q4_k(
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
  const nibble0 = i16x8.splat(0x000f);
  const nibble1 = i16x8.splat(0x00f0);
  const nibble2 = i16x8.splat(0x0f00);
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
        for (let pair = w + 192; pair < w + PACKED; pair += 256, head += 32) {
          let a0 = i32x4.splat(0);
          let a1 = a0;
          let a2 = a0;
          let a3 = a0;
          let b0 = a0;
          let b1 = a0;
          let b2 = a0;
          let b3 = a0;
          if (ASC_FEATURE_RELAXED_SIMD) {
            // two chunks a turn, a fifth fewer instructions
            for (let c = pair; c < pair + 256; c += 64, q += 32) {
              const u = v128.and(v128.load(c), low);
              const v = v128.and(v128.load(c, 16), low);
              const uu = v128.and(v128.load(c, 32), low);
              const vv = v128.and(v128.load(c, 48), low);
              const next = q + 16;
              let p = v128.load32_splat(q);
              let r = v128.load32_splat(next);
              a0 = dotBytes(r, uu, dotBytes(p, u, a0));
              b0 = dotBytes(r, vv, dotBytes(p, v, b0));
              p = v128.load32_splat(q, 4);
              r = v128.load32_splat(next, 4);
              a1 = dotBytes(r, uu, dotBytes(p, u, a1));
              b1 = dotBytes(r, vv, dotBytes(p, v, b1));
              p = v128.load32_splat(q, 8);
              r = v128.load32_splat(next, 8);
              a2 = dotBytes(r, uu, dotBytes(p, u, a2));
              b2 = dotBytes(r, vv, dotBytes(p, v, b2));
              p = v128.load32_splat(q, 12);
              r = v128.load32_splat(next, 12);
              a3 = dotBytes(r, uu, dotBytes(p, u, a3));
              b3 = dotBytes(r, vv, dotBytes(p, v, b3));
            }
          } else {
            for (let c = pair; c < pair + 256; c += 32) {
              const w0 = v128.load(c);
              const w4 = v128.load(c, 16);
              let u = v128.and(w0, nibble0);
              let v = v128.and(w4, nibble0);
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
              u = v128.and(w0, nibble2);
              v = v128.and(w4, nibble2);
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
          if (!ASC_FEATURE_RELAXED_SIMD) {
            a0 = i32x4.shr_s(a0, 8);
            a1 = i32x4.shr_s(a1, 8);
            a2 = i32x4.shr_s(a2, 8);
            a3 = i32x4.shr_s(a3, 8);
            b0 = i32x4.shr_s(b0, 8);
            b1 = i32x4.shr_s(b1, 8);
            b2 = i32x4.shr_s(b2, 8);
            b3 = i32x4.shr_s(b3, 8);
          }
          const scaleA = v128.load8x8_u(head);
          s0 = addScaledLow(s0, dotSums(a0), scaleA);
          r0 = addScaledHigh(r0, dotSums(b0), scaleA);
          s1 = addScaledLow(s1, dotSums(a1), scaleA);
          r1 = addScaledHigh(r1, dotSums(b1), scaleA);
          s2 = addScaledLow(s2, dotSums(a2), scaleA);
          r2 = addScaledHigh(r2, dotSums(b2), scaleA);
          s3 = addScaledLow(s3, dotSums(a3), scaleA);
          r3 = addScaledHigh(r3, dotSums(b3), scaleA);
          a0 = i32x4.splat(0);
          a1 = a0;
          a2 = a0;
          a3 = a0;
          b0 = a0;
          b1 = a0;
          b2 = a0;
          b3 = a0;
          if (ASC_FEATURE_RELAXED_SIMD) {
            // two chunks a turn, a fifth fewer instructions
            for (let c = pair; c < pair + 256; c += 64, q += 32) {
              const u = v128.and(i16x8.shr_u(v128.load(c), 4), low);
              const v = v128.and(i16x8.shr_u(v128.load(c, 16), 4), low);
              const uu = v128.and(i16x8.shr_u(v128.load(c, 32), 4), low);
              const vv = v128.and(i16x8.shr_u(v128.load(c, 48), 4), low);
              const next = q + 16;
              let p = v128.load32_splat(q);
              let r = v128.load32_splat(next);
              a0 = dotBytes(r, uu, dotBytes(p, u, a0));
              b0 = dotBytes(r, vv, dotBytes(p, v, b0));
              p = v128.load32_splat(q, 4);
              r = v128.load32_splat(next, 4);
              a1 = dotBytes(r, uu, dotBytes(p, u, a1));
              b1 = dotBytes(r, vv, dotBytes(p, v, b1));
              p = v128.load32_splat(q, 8);
              r = v128.load32_splat(next, 8);
              a2 = dotBytes(r, uu, dotBytes(p, u, a2));
              b2 = dotBytes(r, vv, dotBytes(p, v, b2));
              p = v128.load32_splat(q, 12);
              r = v128.load32_splat(next, 12);
              a3 = dotBytes(r, uu, dotBytes(p, u, a3));
              b3 = dotBytes(r, vv, dotBytes(p, v, b3));
            }
          } else {
            for (let c = pair; c < pair + 256; c += 32) {
              const w0 = v128.load(c);
              const w4 = v128.load(c, 16);
              let u = v128.and(w0, nibble1);
              let v = v128.and(w4, nibble1);
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
              u = i16x8.shr_u(w0, 12);
              v = i16x8.shr_u(w4, 12);
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
          if (!ASC_FEATURE_RELAXED_SIMD) {
            a0 = i32x4.shr_s(a0, 8);
            a1 = i32x4.shr_s(a1, 8);
            a2 = i32x4.shr_s(a2, 8);
            a3 = i32x4.shr_s(a3, 8);
            b0 = i32x4.shr_s(b0, 8);
            b1 = i32x4.shr_s(b1, 8);
            b2 = i32x4.shr_s(b2, 8);
            b3 = i32x4.shr_s(b3, 8);
          }
          const scaleB = v128.load8x8_u(head, 8);
          s0 = addScaledLow(s0, dotSums(a0), scaleB);
          r0 = addScaledHigh(r0, dotSums(b0), scaleB);
          s1 = addScaledLow(s1, dotSums(a1), scaleB);
          r1 = addScaledHigh(r1, dotSums(b1), scaleB);
          s2 = addScaledLow(s2, dotSums(a2), scaleB);
          r2 = addScaledHigh(r2, dotSums(b2), scaleB);
          s3 = addScaledLow(s3, dotSums(a3), scaleB);
          r3 = addScaledHigh(r3, dotSums(b3), scaleB);
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
        for (head = w + 64; head < w + 192; head += 32, q += 16) {
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
