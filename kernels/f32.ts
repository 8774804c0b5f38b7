import { mulAdd, storeRows } from "./lib/inline";

// Packed f32: groups of 8 rows; a group holds, for each column, its 8 rows side by side. Any number of columns; the
// rows after the last are zero.
//   column 0                        column 1
//   |- f32 row 0 ... f32 row 7 -----|- f32 row 0 ... -----
//   0                              32
// Encoded activations, `tile` positions: for each column the tile's f32 side by side.
//
// One output is the sum of two chains of additions, over the even and over the odd columns, then even + odd: one
// chain would wait for its own additions. Matvec and matmul add in this same order.

/**
 * Packs rows from a file: f32[rows, cols] -> packed f32[rows, cols].
 * Returns the first row that holds an Inf or a NaN, or -1.
 */
export function pack_f32(packed: usize, source: usize, rows: usize, cols: usize): isize {
  const rowBytes = cols << 2;
  for (let row: usize = 0; row < rows; row++) {
    let out = packed + (row >> 3) * (rowBytes << 3) + ((row & 7) << 2);
    for (let i: usize = 0; i < rowBytes; i += 4) {
      const bits = load<u32>(source + i);
      if ((bits & 0x7f800000) === 0x7f800000) return row;
      store<u32>(out, bits);
      out += 32;
    }
    source += rowBytes;
  }
  clearRows(packed, rows, cols);
  return -1;
}

/** The same for bf16[rows, cols], the upper half of an f32: packs it as f32, without loss. */
export function pack_bf16(packed: usize, source: usize, rows: usize, cols: usize): isize {
  for (let row: usize = 0; row < rows; row++) {
    let out = packed + (row >> 3) * (cols << 5) + ((row & 7) << 2);
    for (const end = source + (cols << 1); source < end; source += 2) {
      const bits = (<u32>load<u16>(source)) << 16;
      if ((bits & 0x7f800000) === 0x7f800000) return row;
      store<u32>(out, bits);
      out += 32;
    }
  }
  clearRows(packed, rows, cols);
  return -1;
}

/** Fills the last group's rows after `rows` with zeros. */
function clearRows(packed: usize, rows: usize, cols: usize): void {
  for (let row = rows; row & 7; row++) {
    let out = packed + (row >> 3) * (cols << 5) + ((row & 7) << 2);
    for (let i: usize = 0; i < cols; i++, out += 32) store<u32>(out, 0);
  }
}

/** out = row `row` of a packed f32[.., cols]; out f32[cols] */
export function embed_f32(out: usize, packed: usize, row: usize, cols: usize): void {
  let p = packed + (row >> 3) * (cols << 5) + ((row & 7) << 2);
  for (const end = out + (cols << 2); out < end; out += 4, p += 32) store<f32>(out, load<f32>(p));
}

/** Interleaves `tile` positions: x f32[tile, cols] -> out f32[cols, tile]. */
export function encode_f32(out: usize, x: usize, cols: usize, tile: usize): void {
  const rowBytes = cols << 2;
  if (tile === 1) {
    memory.copy(out, x, rowBytes);
    return;
  }
  const stride = tile << 2;
  for (let t: usize = 0; t < tile; t++) {
    let o = out + (t << 2);
    for (const end = x + rowBytes; x < end; x += 4, o += stride) store<f32>(o, load<f32>(x));
  }
}

/**
 * out[row] = weights[row] . x for rows [rowBegin, rowEnd)
 *
 *   out      f32[rows]
 *   weights  packed f32[rows, cols]   rowBegin a multiple of 8
 *   x        encoded f32, one position
 */
export function matvec_f32(
  out: usize,
  weights: usize,
  x: usize,
  rowBegin: usize,
  rowEnd: usize,
  cols: usize,
): void {
  assert((rowBegin & 7) === 0);
  const groupBytes = cols << 5;
  let w = weights + (rowBegin >> 3) * groupBytes;
  for (let row = rowBegin; row < rowEnd; row += 8) {
    const end = w + groupBytes;
    const end2 = w + (groupBytes & ~63);
    let a0 = f32x4.splat(0);
    let a1 = a0;
    let b0 = a0;
    let b1 = a0;
    let q = x;
    for (; w < end2; w += 64, q += 8) {
      const even = v128.load32_splat(q);
      const odd = v128.load32_splat(q, 4);
      a0 = mulAdd(v128.load(w), even, a0);
      a1 = mulAdd(v128.load(w, 16), even, a1);
      b0 = mulAdd(v128.load(w, 32), odd, b0);
      b1 = mulAdd(v128.load(w, 48), odd, b1);
    }
    if (w < end) {
      const even = v128.load32_splat(q);
      a0 = mulAdd(v128.load(w), even, a0);
      a1 = mulAdd(v128.load(w, 16), even, a1);
      w += 32;
    }
    storeRows(out + (row << 2), f32x4.add(a0, b0), f32x4.add(a1, b1), rowEnd - row);
  }
}

/**
 * out[t, row] = weights[row] . x[t] for rows [rowBegin, rowEnd) and tiles of four positions
 *
 *   out      f32[4 tiles, rows]
 *   weights  packed f32[rows, cols]   rowBegin a multiple of 8
 *   x        encoded f32, four positions a tile, `tileBytes` from tile to tile
 *
 * Eight rows x four positions at a time, first over the odd columns, then over the even ones: one chain of each sum at a time is
 * eight accumulators and six values a column, which fit the registers. V8 11 brings all loads of an iteration to its front, so that
 * a column of each chain at a time would spill.
 */
export function matmul_f32(
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
  const groupBytes = cols << 5;
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
      let w = group + 32;
      let q = x + tile * tileBytes + 16;
      for (; w < end; w += 64, q += 32) {
        const u = v128.load(w);
        const v = v128.load(w, 16);
        let p = v128.load32_splat(q);
        a0 = mulAdd(u, p, a0);
        b0 = mulAdd(v, p, b0);
        p = v128.load32_splat(q, 4);
        a1 = mulAdd(u, p, a1);
        b1 = mulAdd(v, p, b1);
        p = v128.load32_splat(q, 8);
        a2 = mulAdd(u, p, a2);
        b2 = mulAdd(v, p, b2);
        p = v128.load32_splat(q, 12);
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
      for (; w < end; w += 64, q += 32) {
        const u = v128.load(w);
        const v = v128.load(w, 16);
        let p = v128.load32_splat(q);
        a0 = mulAdd(u, p, a0);
        b0 = mulAdd(v, p, b0);
        p = v128.load32_splat(q, 4);
        a1 = mulAdd(u, p, a1);
        b1 = mulAdd(v, p, b1);
        p = v128.load32_splat(q, 8);
        a2 = mulAdd(u, p, a2);
        b2 = mulAdd(v, p, b2);
        p = v128.load32_splat(q, 12);
        a3 = mulAdd(u, p, a3);
        b3 = mulAdd(v, p, b3);
      }
      const o = out + tile * (outBytes << 2) + (row << 2);
      storeRows(o, f32x4.add(a0, oddA0), f32x4.add(b0, oddB0), count);
      storeRows(o + outBytes, f32x4.add(a1, oddA1), f32x4.add(b1, oddB1), count);
      storeRows(o + 2 * outBytes, f32x4.add(a2, oddA2), f32x4.add(b2, oddB2), count);
      storeRows(o + 3 * outBytes, f32x4.add(a3, oddA3), f32x4.add(b3, oddB3), count);
    }
  }
}
