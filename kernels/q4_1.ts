import { isNotFinite } from "./lib/k-quants";
import { addMinimums, addTiledMinimums, embedMinimums, encodeSums, MINIMUMS } from "./lib/minimums";
import { ENCODED, embedNibbles, encodeForNibbles, matvecNibbles, PACKED } from "./q4_0";
import { matmulNibbles } from "./q4_0_matmul";

// q4_1 block in a file: 32 weights of one row in 20 bytes, w[i] = d * q[i] + m, q in 0..15
//   0        2        4                                                20
//   |- d f16 |- m f16 |- q u4[32]: byte j holds q[j] low, q[j+16] high -|
//
// Packed: groups of 8 rows, 160 bytes for 32 columns: the group's blocks as packed q4_0, then its minimums. q4_0's offset of 8
// comes from the encoded activations, so its kernels compute with d * q when these are encoded for an offset of 0.
// What is added for the minimums: lib/minimums.ts.
//
// Encoded activations: q4_0's, with zeros for the accumulators to start at, then the sums.

const BLOCK: usize = 20;

/**
 * Packs rows from a file: q4_1[rows, cols] -> packed q4_1[rows, cols]; cols a multiple of 32.
 * Returns the first row that holds an infinite or NaN scale or minimum, or -1.
 */
export function pack_q4_1(packed: usize, source: usize, rows: usize, cols: usize): isize {
  assert(cols % 32 === 0);
  const blocks = cols >> 5;
  const groupBytes = blocks * (PACKED + MINIMUMS);
  for (let row: usize = 0; row < rows; row++) {
    const lane = row & 7;
    let out = packed + (row >> 3) * groupBytes;
    // the rows that the last group lacks
    if (lane === 0 && rows - row < 8) memory.fill(out, 0, groupBytes);
    let minimum = out + blocks * PACKED + (lane << 1);
    for (let block: usize = 0; block < blocks; block++, out += PACKED, minimum += MINIMUMS, source += BLOCK) {
      const d = load<u16>(source);
      const m = load<u16>(source, 2);
      if (isNotFinite(d) || isNotFinite(m)) return row;
      store<u16>(out + (lane << 1), d);
      store<u16>(minimum, m);
      let chunk = out + 16 + (lane << 2);
      for (let i: usize = 4; i < BLOCK; i += 4, chunk += 32) store<u32>(chunk, load<u32>(source + i));
    }
  }
  return -1;
}

/** out = row `row` of a packed q4_1[.., cols]; out f32[cols]. d * q is exact, so it is rounded once. */
export function embed_q4_1(out: usize, packed: usize, row: usize, cols: usize): void {
  const blocks = cols >> 5;
  const group = packed + (row >> 3) * blocks * (PACKED + MINIMUMS);
  embedNibbles(out, group, row & 7, cols, 0);
  embedMinimums(out, group + blocks * PACKED, row & 7, cols);
}

/** Quantizes and encodes `tile` positions for matvec_q4_1 and matmul_q4_1: x f32[tile, cols] -> out, at most 76 bytes per block and position. */
export function encode_q4_1(out: usize, x: usize, cols: usize, tile: usize): void {
  encodeForNibbles(out, x, cols, tile, 0);
  encodeSums(out + (cols >> 5) * ENCODED * tile, x, cols, tile);
}

/**
 * out[row] = weights[row] . x for rows [rowBegin, rowEnd)
 *
 *   out      f32[rows]
 *   weights  packed q4_1[rows, cols]   rowBegin a multiple of 8, cols of 32
 *   x        encoded q4_1, one position
 */
export function matvec_q4_1(
  out: usize,
  weights: usize,
  x: usize,
  rowBegin: usize,
  rowEnd: usize,
  cols: usize,
): void {
  assert((rowBegin & 7) === 0 && cols % 32 === 0);
  const blocks = cols >> 5;
  const groupBytes = blocks * (PACKED + MINIMUMS);
  matvecNibbles(out, weights, x, rowBegin, rowEnd, cols, groupBytes);
  addMinimums(out, weights + blocks * PACKED, x + blocks * ENCODED, rowBegin, rowEnd, blocks, groupBytes);
}

/**
 * out[t, row] = weights[row] . x[t] for rows [rowBegin, rowEnd) and tiles of four positions
 *
 *   out      f32[4 tiles, rows]
 *   weights  packed q4_1[rows, cols]   rowBegin a multiple of 8, cols of 32
 *   x        encoded q4_1, four positions a tile, `tileBytes` from tile to tile
 */
export function matmul_q4_1(
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
  assert((rowBegin & 7) === 0 && cols % 32 === 0 && rowEnd <= rows);
  const blocks = cols >> 5;
  const groupBytes = blocks * (PACKED + MINIMUMS);
  matmulNibbles(out, weights, x, rowBegin, rowEnd, rows, cols, tiles, tileBytes, groupBytes);
  addTiledMinimums(
    out,
    weights + blocks * PACKED,
    x + 4 * blocks * ENCODED,
    rowBegin,
    rowEnd,
    rows,
    blocks,
    tiles,
    tileBytes,
    groupBytes,
  );
}
