import { addRows, highest32, inverseScale, mulAdd, round16, scaledHalf4, sumBytes, TWO_112 } from "./inline";

// q4_1 and q5_1 blocks have a minimum beside their scale: w[i] = d * q[i] + m. So a product of 32 weights and activations s * a[i]
// is that of d * q, which is q4_0's or q8_0's, and m times s times the sum of a. The minimums of a group of 8 rows lie after the
// group's q4_0 or q8_0 blocks, as half floats, eight for each 32 columns; the activations' scaled sums lie after those as
// the matrix's kernel reads them, as f32[cols / 32, tile].

/** Bytes of 8 rows' minimums for 32 columns. */
export const MINIMUMS: usize = 16;

/** sums[block, t] = the scale of a block of x times the sum of its int8, as encode_q4_0 and encode_q8_0 make these; x f32[tile, cols] */
export function encodeSums(sums: usize, x: usize, cols: usize, tile: usize): void {
  for (let t: usize = 0; t < tile; t++) {
    let out = sums + (t << 2);
    for (const end = x + (cols << 2); x < end; x += 128, out += tile << 2) {
      const highest = f32x4.extract_lane(highest32(x), 0);
      const inverse = inverseScale(highest);
      const sum = sumBytes(round16(x, inverse), round16(x + 64, inverse));
      store<f32>(out, (highest / <f32>127) * <f32>sum);
    }
  }
}

/** Four rows' minimums as f32. `mask` as in scaledHalf4, `unscaled` f32x4.splat(TWO_112). */
// @ts-ignore: decorator
@inline function minimums4(p: usize, mask: v128, unscaled: v128): v128 {
  return f32x4.mul(scaledHalf4(v128.load16x4_s(p), mask), unscaled);
}

/**
 * out[row] += the sum over the blocks of minimums[row, block] * sums[block] for rows [rowBegin, rowEnd), one block after the other
 *
 *   minimums  f16[blocks, 8] of the first group of 8 rows, the next ones `groupBytes` apart
 *   sums      f32[blocks]
 */
export function addMinimums(
  out: usize,
  minimums: usize,
  sums: usize,
  rowBegin: usize,
  rowEnd: usize,
  blocks: usize,
  groupBytes: usize,
): void {
  const mask = i32x4.splat(0x8fffe000);
  const unscaled = f32x4.splat(TWO_112);
  for (let row = rowBegin; row < rowEnd; row += 8) {
    let p = minimums + (row >> 3) * groupBytes;
    let y0 = f32x4.splat(0);
    let y4 = y0;
    let s = sums;
    for (const end = p + blocks * MINIMUMS; p < end; p += MINIMUMS, s += 4) {
      const sum = v128.load32_splat(s);
      y0 = mulAdd(minimums4(p, mask, unscaled), sum, y0);
      y4 = mulAdd(minimums4(p + 8, mask, unscaled), sum, y4);
    }
    addRows(out + (row << 2), y0, y4, rowEnd - row);
  }
}

/**
 * The same of tiles of four positions
 *
 *   out   f32[4 tiles, rows]
 *   sums  f32[blocks, 4] a tile, `tileBytes` from tile to tile
 */
export function addTiledMinimums(
  out: usize,
  minimums: usize,
  sums: usize,
  rowBegin: usize,
  rowEnd: usize,
  rows: usize,
  blocks: usize,
  tiles: usize,
  tileBytes: usize,
  groupBytes: usize,
): void {
  const mask = i32x4.splat(0x8fffe000);
  const unscaled = f32x4.splat(TWO_112);
  const outBytes = rows << 2;
  for (let row = rowBegin; row < rowEnd; row += 8) {
    const count = rowEnd - row;
    for (let tile: usize = 0; tile < tiles; tile++) {
      // y: rows 0..3 of positions 0..3; z: rows 4..7
      let y0 = f32x4.splat(0);
      let y1 = y0;
      let y2 = y0;
      let y3 = y0;
      let z0 = y0;
      let z1 = y0;
      let z2 = y0;
      let z3 = y0;
      let p = minimums + (row >> 3) * groupBytes;
      let s = sums + tile * tileBytes;
      for (const end = p + blocks * MINIMUMS; p < end; p += MINIMUMS, s += 16) {
        const m0 = minimums4(p, mask, unscaled);
        const m4 = minimums4(p + 8, mask, unscaled);
        let sum = v128.load32_splat(s);
        y0 = mulAdd(m0, sum, y0);
        z0 = mulAdd(m4, sum, z0);
        sum = v128.load32_splat(s, 4);
        y1 = mulAdd(m0, sum, y1);
        z1 = mulAdd(m4, sum, z1);
        sum = v128.load32_splat(s, 8);
        y2 = mulAdd(m0, sum, y2);
        z2 = mulAdd(m4, sum, z2);
        sum = v128.load32_splat(s, 12);
        y3 = mulAdd(m0, sum, y3);
        z3 = mulAdd(m4, sum, z3);
      }
      const o = out + tile * (outBytes << 2) + (row << 2);
      addRows(o, y0, z0, count);
      addRows(o + outBytes, y1, z1, count);
      addRows(o + 2 * outBytes, y2, z2, count);
      addRows(o + 3 * outBytes, y3, z3, count);
    }
  }
}

/** out[i] += the minimum of i's block; out f32[cols], minimums f16[cols / 32, 8] of row `lane` of the group */
export function embedMinimums(out: usize, minimums: usize, lane: usize, cols: usize): void {
  const mask = i32x4.splat(0x8fffe000);
  let p = minimums + (lane << 1);
  for (const end = out + (cols << 2); out < end; p += MINIMUMS) {
    const minimum = f32x4.mul(scaledHalf4(i32x4.splat(<i32>load<i16>(p)), mask), f32x4.splat(TWO_112));
    for (const block = out + 128; out < block; out += 16) v128.store(out, f32x4.add(v128.load(out), minimum));
  }
}
