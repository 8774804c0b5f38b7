import { halfToFloat, isNotFinite, sixBits, storePlanes } from "./lib/k-quants";
import { PACKED } from "./q6_k";

// q3_K block in a file: 256 weights of one row in 110 bytes, sixteen sub-blocks of 16 with a scale of 6 bits each:
// w[i] = d * (scale[i / 16] - 32) * (q[i] - 4), q in 0..7
//   0                                           32                                           96            108
//   |- bit 2 of q: byte l, bit p is q[32p + l]'s -|- bits 0, 1: byte 32h + l holds those    -|- scale u6[16] -|- d f16 -|
//                                                    of q[128h + 32p + l] at bit 2p
//   scales: bits 0..3 of 0..7 and 8..15 in the low and high nibbles of bytes 0..7; bits 4, 5 of scale 4n + m in byte
//   8 + m at bit 2n
//
// It becomes q6_K, whose weights d * scale * (q - 32) with an int8 scale and q in 0..63 hold these without loss: q + 28.

const BLOCK: usize = 110;

/**
 * Packs rows from a file: q3_K[rows, cols] -> packed q6_K[rows, cols]; cols a multiple of 256.
 * Returns the first row that holds an infinite or NaN scale, or -1.
 */
export function pack_q3_k(packed: usize, source: usize, rows: usize, cols: usize): isize {
  assert(cols % 256 === 0);
  const blocks = cols >> 8;
  for (let row: usize = 0; row < rows; row++) {
    const lane = row & 7;
    let out = packed + (row >> 3) * blocks * PACKED;
    // the rows that the last group lacks
    if (lane === 0 && rows - row < 8) memory.fill(out, 0, blocks * PACKED);
    for (let block: usize = 0; block < blocks; block++, out += PACKED, source += BLOCK) {
      const d = load<u16>(source, 108);
      if (isNotFinite(d)) return row;
      store<f32>(out + (lane << 2), halfToFloat(d));
      for (let j: usize = 0; j < 16; j++) {
        const low = <u32>load<u8>(source + (j & 7), 96) >> ((<u32>j >> 3) << 2);
        const high = <u32>load<u8>(source + (j & 3), 104) >> ((<u32>j >> 2) << 1);
        store<u8>(out + (j << 3) + lane, <u8>(((low & 15) | ((high & 3) << 4)) - 32), 32);
      }
      let planes = out + 160 + (lane << 2);
      for (let j: usize = 0; j < 16; j++, planes += 96) {
        const run = <u32>j >> 1;
        const third = source + ((j & 1) << 4);
        const lower = third + 32 + ((j >> 3) << 5);
        storePlanes(
          planes,
          sixBits(load<u32>(lower), load<u32>(third), run),
          sixBits(load<u32>(lower, 4), load<u32>(third, 4), run),
          sixBits(load<u32>(lower, 8), load<u32>(third, 8), run),
          sixBits(load<u32>(lower, 12), load<u32>(third, 12), run),
        );
      }
    }
  }
  return -1;
}
