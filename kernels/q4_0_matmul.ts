import {
  dotNibbles,
  dotPairs,
  dotSums,
  position0,
  position1,
  position2,
  position3,
  scaledHalf4,
  scaleSums,
  storeRows,
} from "./lib/inline";
import { PACKED } from "./q4_0";

// Layouts and the order of additions: q4_0.ts.

/**
 * out[t, row] = weights[row] . x[t] for rows [rowBegin, rowEnd) and tiles of four positions
 *
 *   out      f32[4 tiles, rows]
 *   weights  packed q4_0[rows, cols]   rowBegin a multiple of 8, cols of 32
 *   x        encoded q4_0, four positions a tile, `tileBytes` from tile to tile
 *
 * Eight rows x four positions at a time: the nibbles are unpacked once for four positions. The relaxed builds write a block's four
 * chunks out (1.35 x a loop of chunks where a dot is one instruction, 1.08 x with 16-bit sums); V8 11 would bring the loads of all
 * four to the front, and spill.
 */
export function matmul_q4_0(
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
  matmulNibbles(out, weights, x, rowBegin, rowEnd, rows, cols, tiles, tileBytes, (cols >> 5) * PACKED);
}

/** The same of groups of rows that lie `groupBytes` apart. */
export function matmulNibbles(
  out: usize,
  weights: usize,
  x: usize,
  rowBegin: usize,
  rowEnd: usize,
  rows: usize,
  cols: usize,
  tiles: usize,
  tileBytes: usize,
  groupBytes: usize,
): void {
  assert((rowBegin & 7) === 0 && cols % 32 === 0 && rowEnd <= rows);
  const mask = i32x4.splat(0x8fffe000);
  const low = i8x16.splat(15);
  const nibble0 = i16x8.splat(0x000f);
  const nibble1 = i16x8.splat(0x00f0);
  const nibble2 = i16x8.splat(0x0f00);
  const weightBytes = (cols >> 5) * PACKED;
  const outBytes = rows << 2;
  for (let row = rowBegin; row < rowEnd; row += 8) {
    const group = weights + (row >> 3) * groupBytes;
    const count = rowEnd - row;
    for (let tile: usize = 0; tile < tiles; tile++) {
      let w = group;
      let q = x + tile * tileBytes;
      const end = w + weightBytes;
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
        let a0 = i32x4.splat(0);
        let a1 = a0;
        let a2 = a0;
        let a3 = a0;
        let b0 = a0;
        let b1 = a0;
        let b2 = a0;
        let b3 = a0;
        if (ASC_FEATURE_RELAXED_SIMD) {
          let w0 = v128.load(w, 16);
          let w4 = v128.load(w, 32);
          let p = v128.load32_splat(q);
          let r = v128.load32_splat(q, 16);
          a0 = dotNibbles(w0, p, r, a0, low);
          b0 = dotNibbles(w4, p, r, b0, low);
          p = v128.load32_splat(q, 4);
          r = v128.load32_splat(q, 20);
          a1 = dotNibbles(w0, p, r, a1, low);
          b1 = dotNibbles(w4, p, r, b1, low);
          p = v128.load32_splat(q, 8);
          r = v128.load32_splat(q, 24);
          a2 = dotNibbles(w0, p, r, a2, low);
          b2 = dotNibbles(w4, p, r, b2, low);
          p = v128.load32_splat(q, 12);
          r = v128.load32_splat(q, 28);
          a3 = dotNibbles(w0, p, r, a3, low);
          b3 = dotNibbles(w4, p, r, b3, low);
          q += 32;
          w0 = v128.load(w, 48);
          w4 = v128.load(w, 64);
          p = v128.load32_splat(q);
          r = v128.load32_splat(q, 16);
          a0 = dotNibbles(w0, p, r, a0, low);
          b0 = dotNibbles(w4, p, r, b0, low);
          p = v128.load32_splat(q, 4);
          r = v128.load32_splat(q, 20);
          a1 = dotNibbles(w0, p, r, a1, low);
          b1 = dotNibbles(w4, p, r, b1, low);
          p = v128.load32_splat(q, 8);
          r = v128.load32_splat(q, 24);
          a2 = dotNibbles(w0, p, r, a2, low);
          b2 = dotNibbles(w4, p, r, b2, low);
          p = v128.load32_splat(q, 12);
          r = v128.load32_splat(q, 28);
          a3 = dotNibbles(w0, p, r, a3, low);
          b3 = dotNibbles(w4, p, r, b3, low);
          q += 32;
          w0 = v128.load(w, 80);
          w4 = v128.load(w, 96);
          p = v128.load32_splat(q);
          r = v128.load32_splat(q, 16);
          a0 = dotNibbles(w0, p, r, a0, low);
          b0 = dotNibbles(w4, p, r, b0, low);
          p = v128.load32_splat(q, 4);
          r = v128.load32_splat(q, 20);
          a1 = dotNibbles(w0, p, r, a1, low);
          b1 = dotNibbles(w4, p, r, b1, low);
          p = v128.load32_splat(q, 8);
          r = v128.load32_splat(q, 24);
          a2 = dotNibbles(w0, p, r, a2, low);
          b2 = dotNibbles(w4, p, r, b2, low);
          p = v128.load32_splat(q, 12);
          r = v128.load32_splat(q, 28);
          a3 = dotNibbles(w0, p, r, a3, low);
          b3 = dotNibbles(w4, p, r, b3, low);
          q += 32;
          w0 = v128.load(w, 112);
          w4 = v128.load(w, 128);
          p = v128.load32_splat(q);
          r = v128.load32_splat(q, 16);
          a0 = dotNibbles(w0, p, r, a0, low);
          b0 = dotNibbles(w4, p, r, b0, low);
          p = v128.load32_splat(q, 4);
          r = v128.load32_splat(q, 20);
          a1 = dotNibbles(w0, p, r, a1, low);
          b1 = dotNibbles(w4, p, r, b1, low);
          p = v128.load32_splat(q, 8);
          r = v128.load32_splat(q, 24);
          a2 = dotNibbles(w0, p, r, a2, low);
          b2 = dotNibbles(w4, p, r, b2, low);
          p = v128.load32_splat(q, 12);
          r = v128.load32_splat(q, 28);
          a3 = dotNibbles(w0, p, r, a3, low);
          b3 = dotNibbles(w4, p, r, b3, low);
          q += 32;
        } else {
          for (let c = w + 16; c < w + PACKED; c += 32, q += 64) {
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
            u = v128.and(w0, nibble1);
            v = v128.and(w4, nibble1);
            columns = v128.load(q, 32);
            p = position0(q + 32, columns);
            a0 = dotPairs(u, p, a0);
            b0 = dotPairs(v, p, b0);
            p = position1(q + 32, columns);
            a1 = dotPairs(u, p, a1);
            b1 = dotPairs(v, p, b1);
            p = position2(q + 32, columns);
            a2 = dotPairs(u, p, a2);
            b2 = dotPairs(v, p, b2);
            p = position3(q + 32, columns);
            a3 = dotPairs(u, p, a3);
            b3 = dotPairs(v, p, b3);
            u = i16x8.shr_u(w0, 12);
            v = i16x8.shr_u(w4, 12);
            columns = v128.load(q, 48);
            p = position0(q + 48, columns);
            a0 = dotPairs(u, p, a0);
            b0 = dotPairs(v, p, b0);
            p = position1(q + 48, columns);
            a1 = dotPairs(u, p, a1);
            b1 = dotPairs(v, p, b1);
            p = position2(q + 48, columns);
            a2 = dotPairs(u, p, a2);
            b2 = dotPairs(v, p, b2);
            p = position3(q + 48, columns);
            a3 = dotPairs(u, p, a3);
            b3 = dotPairs(v, p, b3);
          }
        }
        const h0 = scaledHalf4(v128.load16x4_s(w), mask);
        const h4 = scaledHalf4(v128.load16x4_s(w, 8), mask);
        let scale = v128.load32_splat(q);
        let offset = v128.load32_splat(q, 16);
        y0 = scaleSums(i32x4.add(offset, dotSums(a0)), h0, scale, y0);
        z0 = scaleSums(i32x4.add(offset, dotSums(b0)), h4, scale, z0);
        scale = v128.load32_splat(q, 4);
        offset = v128.load32_splat(q, 20);
        y1 = scaleSums(i32x4.add(offset, dotSums(a1)), h0, scale, y1);
        z1 = scaleSums(i32x4.add(offset, dotSums(b1)), h4, scale, z1);
        scale = v128.load32_splat(q, 8);
        offset = v128.load32_splat(q, 24);
        y2 = scaleSums(i32x4.add(offset, dotSums(a2)), h0, scale, y2);
        z2 = scaleSums(i32x4.add(offset, dotSums(b2)), h4, scale, z2);
        scale = v128.load32_splat(q, 12);
        offset = v128.load32_splat(q, 28);
        y3 = scaleSums(i32x4.add(offset, dotSums(a3)), h0, scale, y3);
        z3 = scaleSums(i32x4.add(offset, dotSums(b3)), h4, scale, z3);
        q += 32;
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
