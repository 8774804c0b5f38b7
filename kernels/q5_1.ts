import { isNotFinite, upperBits } from "./lib/k-quants";
import { addMinimums, addTiledMinimums, embedMinimums, encodeSums, MINIMUMS } from "./lib/minimums";
import { ENCODED, embed_q8_0, encode_q8_0, matvecBytes, PACKED } from "./q8_0";
import { matmulBytes } from "./q8_0_matmul";

// q5_1 block in a file: 32 weights of one row in 24 bytes, w[i] = d * q[i] + m, q in 0..31
//   0        2        4                            8                                                     24
//   |- d f16 |- m f16 |- u32: bit i is bit 4 of q[i] |- bits 0..3 of q: byte j holds q[j] low, q[j+16] high -|
//
// Packed: groups of 8 rows, 288 bytes for 32 columns: the group's d * q as packed q8_0, as q5_0 becomes it too, then its minimums.
// What is added for the minimums: lib/minimums.ts.
//
// Encoded activations: q8_0's, then the sums.

const BLOCK: usize = 24;

/**
 * Packs rows from a file: q5_1[rows, cols] -> packed q5_1[rows, cols]; cols a multiple of 32.
 * Returns the first row that holds an infinite or NaN scale or minimum, or -1.
 */
export function pack_q5_1(packed: usize, source: usize, rows: usize, cols: usize): isize {
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
      const fifth = load<u32>(source, 4);
      let chunk = out + 16 + (lane << 2);
      for (let k: u32 = 0; k < 16; k += 4, chunk += 32) {
        const four = load<u32>(source + k, 8);
        store<u32>(chunk, (four & 0x0f0f0f0f) | (upperBits(fifth >> k) & 0x10101010));
        store<u32>(chunk, ((four >> 4) & 0x0f0f0f0f) | (upperBits(fifth >> (k + 16)) & 0x10101010), 128);
      }
    }
  }
  return -1;
}

/** out = row `row` of a packed q5_1[.., cols]; out f32[cols]. d * q is exact, so it is rounded once. */
export function embed_q5_1(out: usize, packed: usize, row: usize, cols: usize): void {
  const blocks = cols >> 5;
  const group = packed + (row >> 3) * blocks * (PACKED + MINIMUMS);
  embed_q8_0(out, group, row & 7, cols);
  embedMinimums(out, group + blocks * PACKED, row & 7, cols);
}

/** Quantizes and encodes `tile` positions for matvec_q5_1 and matmul_q5_1: x f32[tile, cols] -> out, at most 72 bytes per block and position. */
export function encode_q5_1(out: usize, x: usize, cols: usize, tile: usize): void {
  encode_q8_0(out, x, cols, tile);
  encodeSums(out + (cols >> 5) * ENCODED * tile, x, cols, tile);
}

/**
 * out[row] = weights[row] . x for rows [rowBegin, rowEnd)
 *
 *   out      f32[rows]
 *   weights  packed q5_1[rows, cols]   rowBegin a multiple of 8, cols of 32
 *   x        encoded q5_1, one position
 */
export function matvec_q5_1(
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
  matvecBytes(out, weights, x, rowBegin, rowEnd, cols, groupBytes);
  addMinimums(out, weights + blocks * PACKED, x + blocks * ENCODED, rowBegin, rowEnd, blocks, groupBytes);
}

/**
 * out[t, row] = weights[row] . x[t] for rows [rowBegin, rowEnd) and tiles of four positions
 *
 *   out      f32[4 tiles, rows]
 *   weights  packed q5_1[rows, cols]   rowBegin a multiple of 8, cols of 32
 *   x        encoded q5_1, four positions a tile, `tileBytes` from tile to tile
 */
export function matmul_q5_1(
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
  matmulBytes(out, weights, x, rowBegin, rowEnd, rows, cols, tiles, tileBytes, groupBytes);
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
