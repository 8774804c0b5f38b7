import { upperBits } from "./lib/k-quants";
import { PACKED } from "./q8_0";

// q5_0 block in a file: 32 weights of one row in 22 bytes, w[i] = d * (q[i] - 16), q in 0..31
//   0        2                            6                                                     22
//   |- d f16 |- u32: bit i is bit 4 of q[i] |- bits 0..3 of q: byte j holds q[j] low, q[j+16] high -|
//
// It becomes q8_0, whose weights d * q with q in -128..127 hold these without loss.

const BLOCK: usize = 22;

/**
 * Packs rows from a file: q5_0[rows, cols] -> packed q8_0[rows, cols]; cols a multiple of 32.
 * Returns the first row that holds an infinite or NaN scale, or -1.
 */
export function pack_q5_0(packed: usize, source: usize, rows: usize, cols: usize): isize {
  assert(cols % 32 === 0);
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
      // q - 16 is q without its bit 4 where that is set, and negative, with the upper four bits set, where it is not
      const negative = ~load<u32>(source, 2);
      let chunk = out + 16 + (lane << 2);
      for (let k: u32 = 0; k < 16; k += 4, chunk += 32) {
        const four = load<u32>(source + k, 6);
        store<u32>(chunk, (four & 0x0f0f0f0f) | upperBits(negative >> k));
        store<u32>(chunk, ((four >> 4) & 0x0f0f0f0f) | upperBits(negative >> (k + 16)), 128);
      }
    }
  }
  return -1;
}
