import { scatter4 } from "./lib/inline";
import { PACKED } from "./q8_0";

// iq4_nl block in a file: 32 weights of one row in 18 bytes, w[i] = d * levels[q[i]], q in 0..15
//   0        2                                                18
//   |- d f16 |- q u4[32]: byte j holds q[j] low, q[j+16] high -|
//
// The sixteen levels (kvalues_iq4nl in ggml-common.h) are int8, denser about zero. So it becomes q8_0, without loss.

const BLOCK: usize = 18;

/**
 * Packs rows from a file: iq4_nl[rows, cols] -> packed q8_0[rows, cols]; cols a multiple of 32.
 * Returns the first row that holds an infinite or NaN scale, or -1.
 */
export function pack_iq4_nl(packed: usize, source: usize, rows: usize, cols: usize): isize {
  assert(cols % 32 === 0);
  const levels = i8x16(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
  const low = i8x16.splat(15);
  const blocks = cols >> 5;
  for (let row: usize = 0; row < rows; row++) {
    const lane = row & 7;
    let out = packed + (row >> 3) * blocks * PACKED;
    // the rows that the last group lacks
    if (lane === 0 && rows - row < 8) memory.fill(out, 0, blocks * PACKED);
    for (let block: usize = 0; block < blocks; block++, out += PACKED, source += BLOCK) {
      const scale = load<u16>(source);
      if ((scale & 0x7c00) === 0x7c00) return row;
      store<u16>(out + (lane << 1), scale);
      const pairs = v128.load(source, 2);
      const chunk = out + 16 + (lane << 2);
      scatter4(chunk, 32, i8x16.swizzle(levels, v128.and(pairs, low)));
      scatter4(chunk + 128, 32, i8x16.swizzle(levels, i8x16.shr_u(pairs, 4)));
    }
  }
  return -1;
}
