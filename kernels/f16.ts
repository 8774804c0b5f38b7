import { mulAdd, position0, position1, position2, position3, scaledHalf4, storeRows } from "./lib/inline";

// Packed f16: groups of 8 rows; a group holds, for each column, its 8 rows side by side. Any number of columns; the
// rows after the last are zero.
//   column 0                        column 1
//   |- f16 row 0 ... f16 row 7 -----|- f16 row 0 ... -----
//   0                              16
// Encoded activations, `tile` positions: for each column the tile's f32 side by side, each times 2^56.
//
// A half float becomes f32 by a shift and a mask, which leaves it 2^112 too small. The activations carry one half of
// that factor and the result gets the other: all powers of two, so no bit changes, and neither end overflows or
// becomes subnormal for activations up to 2^71.
//
// Order of additions as in f32.ts: even columns, odd columns, then even + odd.

// 2^56
const HALF_OF_112: f32 = <f32>72057594037927936.0;

/**
 * Packs rows from a file: f16[rows, cols] -> packed f16[rows, cols].
 * Returns the first row that holds an Inf or a NaN, or -1.
 */
export function pack_f16(packed: usize, source: usize, rows: usize, cols: usize): isize {
  const rowBytes = cols << 1;
  for (let row: usize = 0; row < rows; row++) {
    let out = packed + (row >> 3) * (rowBytes << 3) + ((row & 7) << 1);
    for (let i: usize = 0; i < rowBytes; i += 2) {
      const bits = load<u16>(source + i);
      if ((bits & 0x7c00) === 0x7c00) return row;
      store<u16>(out, bits);
      out += 16;
    }
    source += rowBytes;
  }
  for (let row = rows; row & 7; row++) {
    let out = packed + (row >> 3) * (rowBytes << 3) + ((row & 7) << 1);
    for (let i: usize = 0; i < cols; i++, out += 16) store<u16>(out, 0);
  }
  return -1;
}

/** out = row `row` of a packed f16[.., cols]; out f32[cols] */
export function embed_f16(out: usize, packed: usize, row: usize, cols: usize): void {
  const mask = i32x4.splat(0x8fffe000);
  const scale = f32x4.splat(HALF_OF_112 * HALF_OF_112);
  let p = packed + (row >> 3) * (cols << 4) + ((row & 7) << 1);
  for (const end = out + (cols << 2); out < end; out += 4, p += 16) {
    const value = f32x4.mul(scaledHalf4(i32x4.splat(<i32>load<i16>(p)), mask), scale);
    v128.store32_lane(out, value, 0);
  }
}

/** Interleaves and scales `tile` positions: x f32[tile, cols] -> out f32[cols, tile]. */
export function encode_f16(out: usize, x: usize, cols: usize, tile: usize): void {
  const stride = tile << 2;
  for (let t: usize = 0; t < tile; t++) {
    let o = out + (t << 2);
    for (const end = x + (cols << 2); x < end; x += 4, o += stride) store<f32>(o, load<f32>(x) * HALF_OF_112);
  }
}

/**
 * out[row] = weights[row] . x for rows [rowBegin, rowEnd)
 *
 *   out      f32[rows]
 *   weights  packed f16[rows, cols]   rowBegin a multiple of 8
 *   x        encoded f16, one position
 */
export function matvec_f16(
  out: usize,
  weights: usize,
  x: usize,
  rowBegin: usize,
  rowEnd: usize,
  cols: usize,
): void {
  assert((rowBegin & 7) === 0);
  const mask = i32x4.splat(0x8fffe000);
  const scale = f32x4.splat(HALF_OF_112);
  const groupBytes = cols << 4;
  let w = weights + (rowBegin >> 3) * groupBytes;
  for (let row = rowBegin; row < rowEnd; row += 8) {
    const end = w + groupBytes;
    const end2 = w + (groupBytes & ~31);
    let a0 = f32x4.splat(0);
    let a1 = a0;
    let b0 = a0;
    let b1 = a0;
    let q = x;
    for (; w < end2; w += 32, q += 8) {
      const even = v128.load32_splat(q);
      const odd = v128.load32_splat(q, 4);
      a0 = mulAdd(scaledHalf4(v128.load16x4_s(w), mask), even, a0);
      a1 = mulAdd(scaledHalf4(v128.load16x4_s(w, 8), mask), even, a1);
      b0 = mulAdd(scaledHalf4(v128.load16x4_s(w, 16), mask), odd, b0);
      b1 = mulAdd(scaledHalf4(v128.load16x4_s(w, 24), mask), odd, b1);
    }
    if (w < end) {
      const even = v128.load32_splat(q);
      a0 = mulAdd(scaledHalf4(v128.load16x4_s(w), mask), even, a0);
      a1 = mulAdd(scaledHalf4(v128.load16x4_s(w, 8), mask), even, a1);
      w += 16;
    }
    const y0 = f32x4.mul(f32x4.add(a0, b0), scale);
    const y4 = f32x4.mul(f32x4.add(a1, b1), scale);
    storeRows(out + (row << 2), y0, y4, rowEnd - row);
  }
}

/**
 * out[t, row] = weights[row] . x[t] for rows [rowBegin, rowEnd) and tiles of four positions
 *
 *   out      f32[4 tiles, rows]
 *   weights  packed f16[rows, cols]   rowBegin a multiple of 8
 *   x        encoded f16, four positions a tile, `tileBytes` from tile to tile
 *
 * Eight rows x four positions at a time, first over the odd columns, then over the even ones: one chain of each sum at a time is
 * eight accumulators, and V8 11, which brings all loads of an iteration to its front, still finds registers for the rest. The four positions
 * are one load for that reason: loaded one by one, as in f32.ts, they would not fit beside the mask.
 */
export function matmul_f16(
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
  assert((rowBegin & 7) === 0 && rowEnd <= rows);
  const mask = i32x4.splat(0x8fffe000);
  const scale = f32x4.splat(HALF_OF_112);
  const groupBytes = cols << 4;
  const outBytes = rows << 2;
  for (let row = rowBegin; row < rowEnd; row += 8) {
    const group = weights + (row >> 3) * groupBytes;
    const end = group + groupBytes;
    const count = rowEnd - row;
    for (let tile: usize = 0; tile < tiles; tile++) {
      // a: rows 0..3 of positions 0..3; b: rows 4..7
      let a0 = f32x4.splat(0);
      let a1 = a0;
      let a2 = a0;
      let a3 = a0;
      let b0 = a0;
      let b1 = a0;
      let b2 = a0;
      let b3 = a0;
      let w = group + 16;
      let q = x + tile * tileBytes + 16;
      for (; w < end; w += 32, q += 32) {
        const u = scaledHalf4(v128.load16x4_s(w), mask);
        const v = scaledHalf4(v128.load16x4_s(w, 8), mask);
        const x4 = v128.load(q);
        let p = position0(q, x4);
        a0 = mulAdd(u, p, a0);
        b0 = mulAdd(v, p, b0);
        p = position1(q, x4);
        a1 = mulAdd(u, p, a1);
        b1 = mulAdd(v, p, b1);
        p = position2(q, x4);
        a2 = mulAdd(u, p, a2);
        b2 = mulAdd(v, p, b2);
        p = position3(q, x4);
        a3 = mulAdd(u, p, a3);
        b3 = mulAdd(v, p, b3);
      }
      const oddA0 = a0;
      const oddA1 = a1;
      const oddA2 = a2;
      const oddA3 = a3;
      const oddB0 = b0;
      const oddB1 = b1;
      const oddB2 = b2;
      const oddB3 = b3;
      a0 = f32x4.splat(0);
      a1 = a0;
      a2 = a0;
      a3 = a0;
      b0 = a0;
      b1 = a0;
      b2 = a0;
      b3 = a0;
      w = group;
      q = x + tile * tileBytes;
      for (; w < end; w += 32, q += 32) {
        const u = scaledHalf4(v128.load16x4_s(w), mask);
        const v = scaledHalf4(v128.load16x4_s(w, 8), mask);
        const x4 = v128.load(q);
        let p = position0(q, x4);
        a0 = mulAdd(u, p, a0);
        b0 = mulAdd(v, p, b0);
        p = position1(q, x4);
        a1 = mulAdd(u, p, a1);
        b1 = mulAdd(v, p, b1);
        p = position2(q, x4);
        a2 = mulAdd(u, p, a2);
        b2 = mulAdd(v, p, b2);
        p = position3(q, x4);
        a3 = mulAdd(u, p, a3);
        b3 = mulAdd(v, p, b3);
      }
      const o = out + tile * (outBytes << 2) + (row << 2);
      storeRows(o, f32x4.mul(f32x4.add(a0, oddA0), scale), f32x4.mul(f32x4.add(b0, oddB0), scale), count);
      storeRows(
        o + outBytes,
        f32x4.mul(f32x4.add(a1, oddA1), scale),
        f32x4.mul(f32x4.add(b1, oddB1), scale),
        count,
      );
      storeRows(
        o + 2 * outBytes,
        f32x4.mul(f32x4.add(a2, oddA2), scale),
        f32x4.mul(f32x4.add(b2, oddB2), scale),
        count,
      );
      storeRows(
        o + 3 * outBytes,
        f32x4.mul(f32x4.add(a3, oddA3), scale),
        f32x4.mul(f32x4.add(b3, oddB3), scale),
        count,
      );
    }
  }
}
