import {
  dotBytes,
  dotPairs,
  position0,
  position1,
  position2,
  position3,
  SPLIT_DOTS,
  scaledHalf4,
  scaleSums,
  storeRows,
} from "./lib/inline";
import { PACKED } from "./q8_0";

// Layouts and the order of additions: q8_0.ts.

/**
 * out[t, row] = weights[row] . x[t] for rows [rowBegin, rowEnd) and tiles of four positions
 *
 *   out      f32[4 tiles, rows]
 *   weights  packed q8_0[rows, cols]   rowBegin a multiple of 8, cols of 32
 *   x        encoded q8_0, four positions a tile, `tileBytes` from tile to tile
 */
export function matmul_q8_0(
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
  matmulBytes(out, weights, x, rowBegin, rowEnd, rows, cols, tiles, tileBytes, (cols >> 5) * PACKED);
}

/** The same of groups of rows that lie `groupBytes` apart. */
export function matmulBytes(
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
  if (SPLIT_DOTS) matmulSplit(out, weights, x, rowBegin, rowEnd, rows, cols, tiles, tileBytes, groupBytes);
  else matmulPairs(out, weights, x, rowBegin, rowEnd, rows, cols, tiles, tileBytes, groupBytes);
}

/** Eight rows x four positions at a time. */
function matmulPairs(
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
  const mask = i32x4.splat(0x8fffe000);
  const high = i16x8.splat(<i16>0xff00);
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
        for (let c = w + 16; c < w + PACKED; c += 32, q += 32) {
          const w0 = v128.load(c);
          const w4 = v128.load(c, 16);
          let u = i16x8.shl(w0, 8);
          let v = i16x8.shl(w4, 8);
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
          u = v128.and(w0, high);
          v = v128.and(w4, high);
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
        const h0 = scaledHalf4(v128.load16x4_s(w), mask);
        const h4 = scaledHalf4(v128.load16x4_s(w, 8), mask);
        let scale = v128.load32_splat(q);
        y0 = scaleSums(a0, h0, scale, y0);
        z0 = scaleSums(b0, h4, scale, z0);
        scale = v128.load32_splat(q, 4);
        y1 = scaleSums(a1, h0, scale, y1);
        z1 = scaleSums(b1, h4, scale, z1);
        scale = v128.load32_splat(q, 8);
        y2 = scaleSums(a2, h0, scale, y2);
        z2 = scaleSums(b2, h4, scale, z2);
        scale = v128.load32_splat(q, 12);
        y3 = scaleSums(a3, h0, scale, y3);
        z3 = scaleSums(b3, h4, scale, z3);
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

/**
 * Eight rows x two positions at a time, which have eight accumulators: a for the positive parts of the activations, b for the
 * negative ones. A block's eight chunks are written out: three quarters of the instructions of a loop.
 */
function matmulSplit(
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
  const mask = i32x4.splat(0x8fffe000);
  const weightBytes = (cols >> 5) * PACKED;
  const outBytes = rows << 2;
  for (let row = rowBegin; row < rowEnd; row += 8) {
    const group = weights + (row >> 3) * groupBytes;
    const count = rowEnd - row;
    for (let t: usize = 0; t < tiles << 2; t += 2) {
      let w = group;
      let q = x + (t >> 2) * tileBytes + ((t & 2) << 2);
      const end = w + weightBytes;
      // y: rows 0..3 of positions t and t + 1; z: rows 4..7
      let y0 = f32x4.splat(0);
      let y1 = y0;
      let z0 = y0;
      let z1 = y0;
      while (w < end) {
        let a0 = i32x4.splat(0);
        let a1 = a0;
        let b0 = a0;
        let b1 = a0;
        // rows 4..7
        let c0 = a0;
        let c1 = a0;
        let d0 = a0;
        let d1 = a0;
        let w0 = v128.load(w, 16);
        let w4 = v128.load(w, 32);
        let p = v128.load32_splat(q);
        let n = v128.load32_splat(q, 16);
        a0 = dotBytes(w0, p, a0);
        b0 = dotBytes(w0, n, b0);
        c0 = dotBytes(w4, p, c0);
        d0 = dotBytes(w4, n, d0);
        p = v128.load32_splat(q, 4);
        n = v128.load32_splat(q, 20);
        a1 = dotBytes(w0, p, a1);
        b1 = dotBytes(w0, n, b1);
        c1 = dotBytes(w4, p, c1);
        d1 = dotBytes(w4, n, d1);
        q += 32;
        w0 = v128.load(w, 48);
        w4 = v128.load(w, 64);
        p = v128.load32_splat(q);
        n = v128.load32_splat(q, 16);
        a0 = dotBytes(w0, p, a0);
        b0 = dotBytes(w0, n, b0);
        c0 = dotBytes(w4, p, c0);
        d0 = dotBytes(w4, n, d0);
        p = v128.load32_splat(q, 4);
        n = v128.load32_splat(q, 20);
        a1 = dotBytes(w0, p, a1);
        b1 = dotBytes(w0, n, b1);
        c1 = dotBytes(w4, p, c1);
        d1 = dotBytes(w4, n, d1);
        q += 32;
        w0 = v128.load(w, 80);
        w4 = v128.load(w, 96);
        p = v128.load32_splat(q);
        n = v128.load32_splat(q, 16);
        a0 = dotBytes(w0, p, a0);
        b0 = dotBytes(w0, n, b0);
        c0 = dotBytes(w4, p, c0);
        d0 = dotBytes(w4, n, d0);
        p = v128.load32_splat(q, 4);
        n = v128.load32_splat(q, 20);
        a1 = dotBytes(w0, p, a1);
        b1 = dotBytes(w0, n, b1);
        c1 = dotBytes(w4, p, c1);
        d1 = dotBytes(w4, n, d1);
        q += 32;
        w0 = v128.load(w, 112);
        w4 = v128.load(w, 128);
        p = v128.load32_splat(q);
        n = v128.load32_splat(q, 16);
        a0 = dotBytes(w0, p, a0);
        b0 = dotBytes(w0, n, b0);
        c0 = dotBytes(w4, p, c0);
        d0 = dotBytes(w4, n, d0);
        p = v128.load32_splat(q, 4);
        n = v128.load32_splat(q, 20);
        a1 = dotBytes(w0, p, a1);
        b1 = dotBytes(w0, n, b1);
        c1 = dotBytes(w4, p, c1);
        d1 = dotBytes(w4, n, d1);
        q += 32;
        w0 = v128.load(w, 144);
        w4 = v128.load(w, 160);
        p = v128.load32_splat(q);
        n = v128.load32_splat(q, 16);
        a0 = dotBytes(w0, p, a0);
        b0 = dotBytes(w0, n, b0);
        c0 = dotBytes(w4, p, c0);
        d0 = dotBytes(w4, n, d0);
        p = v128.load32_splat(q, 4);
        n = v128.load32_splat(q, 20);
        a1 = dotBytes(w0, p, a1);
        b1 = dotBytes(w0, n, b1);
        c1 = dotBytes(w4, p, c1);
        d1 = dotBytes(w4, n, d1);
        q += 32;
        w0 = v128.load(w, 176);
        w4 = v128.load(w, 192);
        p = v128.load32_splat(q);
        n = v128.load32_splat(q, 16);
        a0 = dotBytes(w0, p, a0);
        b0 = dotBytes(w0, n, b0);
        c0 = dotBytes(w4, p, c0);
        d0 = dotBytes(w4, n, d0);
        p = v128.load32_splat(q, 4);
        n = v128.load32_splat(q, 20);
        a1 = dotBytes(w0, p, a1);
        b1 = dotBytes(w0, n, b1);
        c1 = dotBytes(w4, p, c1);
        d1 = dotBytes(w4, n, d1);
        q += 32;
        w0 = v128.load(w, 208);
        w4 = v128.load(w, 224);
        p = v128.load32_splat(q);
        n = v128.load32_splat(q, 16);
        a0 = dotBytes(w0, p, a0);
        b0 = dotBytes(w0, n, b0);
        c0 = dotBytes(w4, p, c0);
        d0 = dotBytes(w4, n, d0);
        p = v128.load32_splat(q, 4);
        n = v128.load32_splat(q, 20);
        a1 = dotBytes(w0, p, a1);
        b1 = dotBytes(w0, n, b1);
        c1 = dotBytes(w4, p, c1);
        d1 = dotBytes(w4, n, d1);
        q += 32;
        w0 = v128.load(w, 240);
        w4 = v128.load(w, 256);
        p = v128.load32_splat(q);
        n = v128.load32_splat(q, 16);
        a0 = dotBytes(w0, p, a0);
        b0 = dotBytes(w0, n, b0);
        c0 = dotBytes(w4, p, c0);
        d0 = dotBytes(w4, n, d0);
        p = v128.load32_splat(q, 4);
        n = v128.load32_splat(q, 20);
        a1 = dotBytes(w0, p, a1);
        b1 = dotBytes(w0, n, b1);
        c1 = dotBytes(w4, p, c1);
        d1 = dotBytes(w4, n, d1);
        q += 32;
        const h0 = scaledHalf4(v128.load16x4_s(w), mask);
        const h4 = scaledHalf4(v128.load16x4_s(w, 8), mask);
        let scale = v128.load32_splat(q);
        y0 = scaleSums(i32x4.sub(a0, b0), h0, scale, y0);
        z0 = scaleSums(i32x4.sub(c0, d0), h4, scale, z0);
        scale = v128.load32_splat(q, 4);
        y1 = scaleSums(i32x4.sub(a1, b1), h0, scale, y1);
        z1 = scaleSums(i32x4.sub(c1, d1), h4, scale, z1);
        q += 16;
        w += PACKED;
      }
      const o = out + t * outBytes + (row << 2);
      storeRows(o, y0, z0, count);
      storeRows(o + outBytes, y1, z1, count);
    }
  }
}
