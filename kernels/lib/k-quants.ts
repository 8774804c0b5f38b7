import { evenBytes, highest32, inverseScale, oddBytes, round16, scatter4, sumBytes, TWO_112 } from "./inline";

// What the k-quants share outside their inner loops: blocks of 256 weights, activations in int8 with one scale for 256.

/** A half float as f32, exactly; Inf and NaN are refused before. */
export function halfToFloat(bits: u16): f32 {
  return reinterpret<f32>((<i32>(<i16>bits) << 13) & 0x8fffe000) * TWO_112;
}

/** Whether a half float is infinite or NaN. */
export function isNotFinite(bits: u16): bool {
  return (bits & 0x7c00) === 0x7c00;
}

/** Largest magnitude of 256 floats at p; NaN if one of them is. */
export function highest256(p: usize): f32 {
  let m = highest32(p);
  for (const end = p + 1024; p < end; p += 128) m = i32x4.max_s(m, highest32(p));
  return f32x4.extract_lane(m, 0);
}

/**
 * Packs the first 16 bytes of a block of q4_K or q5_K, which are alike: the file's half floats d and dmin and eight 6-bit
 * scales and minimums, as the head of the packed block (see q4_k.ts). Returns false when d or dmin is infinite or NaN.
 *
 * Scales and minimums 0..3 are in the low bits of bytes 0..3 and 4..7, whose upper two bits belong to those of 4..7;
 * these have their lower four bits in bytes 8..11.
 */
export function packHead(out: usize, source: usize, lane: usize): bool {
  const d = load<u16>(source);
  const dmin = load<u16>(source, 2);
  if (isNotFinite(d) || isNotFinite(dmin)) return false;
  store<f32>(out + (lane << 2), halfToFloat(d));
  store<f32>(out + (lane << 2), halfToFloat(dmin), 32);
  const first = load<u32>(source, 4);
  const second = load<u32>(source, 8);
  const third = load<u32>(source, 12);
  // bytes j of these: scale and minimum j, and j + 4
  const scales = first & 0x3f3f3f3f;
  const minimums = second & 0x3f3f3f3f;
  const scales4 = (third & 0x0f0f0f0f) | ((first >> 2) & 0x30303030);
  const minimums4 = ((third >> 4) & 0x0f0f0f0f) | ((second >> 2) & 0x30303030);
  for (let j: u32 = 0; j < 4; j++) {
    const head = out + 64 + ((<usize>j >> 1) << 5);
    const scale = head + ((<usize>j & 1) << 3) + lane;
    const minimum = head + 16 + (lane << 1) + (<usize>j & 1);
    store<u8>(scale, <u8>(scales >> (j << 3)));
    store<u8>(minimum, <u8>(minimums >> (j << 3)));
    store<u8>(scale, <u8>(scales4 >> (j << 3)), 64);
    store<u8>(minimum, <u8>(minimums4 >> (j << 3)), 64);
  }
  return true;
}

/**
 * Encodes `tile` positions for q4_K and q5_K: per 256 columns int8 with a scale of max / 127, rounded half to even, in
 * groups of 4 bytes that hold the tile's positions side by side. After the activations, 4 groups of two int16: the sums of
 * sub-blocks 0 and 1, 2 and 3, ...; then the scale as f32. The activations:
 *   relaxed  in their order, four a group
 *   simd     two groups of int16 pairs for each four columns c: (c, c+2) and (c+1, c+3); where `powers` is true times 256 and 1
 *            in sub-blocks 0, 2, 4, 6, times 16 and 256 in the others (see q4_k.ts)
 */
export function encodeWithSums(out: usize, x: usize, cols: usize, tile: usize, powers: bool): void {
  assert(cols % 256 === 0);
  const group = tile << 2;
  const high = i16x8.splat(<i16>0xff00);
  for (let t: usize = 0; t < tile; t++) {
    let o = out + (t << 2);
    for (const end = x + (cols << 2); x < end; ) {
      const highest = highest256(x);
      const inverse = inverseScale(highest);
      let sums = o + (ASC_FEATURE_RELAXED_SIMD ? 64 : 128) * group;
      for (let pair: usize = 0; pair < 4; pair++) {
        for (let odd: usize = 0; odd < 2; odd++) {
          const a = round16(x, inverse);
          const b = round16(x + 64, inverse);
          store<i16>(sums + (odd << 1), <i16>sumBytes(a, b));
          if (ASC_FEATURE_RELAXED_SIMD) {
            scatter4(o, group, a);
            scatter4(o + 4 * group, group, b);
            o += 8 * group;
          } else {
            if (!powers) {
              scatter4(o, 2 * group, evenBytes(a));
              scatter4(o + group, 2 * group, oddBytes(a));
              scatter4(o + 8 * group, 2 * group, evenBytes(b));
              scatter4(o + 9 * group, 2 * group, oddBytes(b));
            } else if (odd) {
              scatter4(o, 2 * group, i16x8.shl(evenBytes(a), 4));
              scatter4(o + group, 2 * group, v128.and(a, high));
              scatter4(o + 8 * group, 2 * group, i16x8.shl(evenBytes(b), 4));
              scatter4(o + 9 * group, 2 * group, v128.and(b, high));
            } else {
              scatter4(o, 2 * group, i16x8.shl(a, 8));
              scatter4(o + group, 2 * group, oddBytes(a));
              scatter4(o + 8 * group, 2 * group, i16x8.shl(b, 8));
              scatter4(o + 9 * group, 2 * group, oddBytes(b));
            }
            o += 16 * group;
          }
          x += 128;
        }
        sums += group;
      }
      store<f32>(sums, highest / <f32>127);
      o = sums + group;
    }
  }
}

/** Stores a sub-block of packed q6_K (see q6_k.ts) of one row: four words of four weights, 0..63, a byte each. */
// @ts-ignore: decorator
@inline export function storePlanes(planes: usize, a: u32, b: u32, c: u32, last: u32): void {
  store<u32>(planes, a | ((last & 0x03030303) << 6));
  store<u32>(planes, b | ((last & 0x0c0c0c0c) << 4), 32);
  store<u32>(planes, c | ((last & 0x30303030) << 2), 64);
}

/** The last four columns of a sub-block of packed q6_K, from a word of each of its planes. */
// @ts-ignore: decorator
@inline export function lastColumns(a: u32, b: u32, c: u32): u32 {
  return ((a >> 6) & 0x03030303) | ((b >> 4) & 0x0c0c0c0c) | ((c >> 2) & 0x30303030);
}

/** Four weights of part `part` (of 32 columns, 0..3) of q6_K's file layout, from the words with their low and high bits. */
// @ts-ignore: decorator
@inline export function joinBits(low: u32, high: u32, part: u32): u32 {
  return ((low >> ((part >> 1) << 2)) & 0x0f0f0f0f) | (((high >> (part << 1)) & 0x03030303) << 4);
}

/** Four weights of q5_K's file layout, from the words with their low four bits, in bits 0..3, and their fifth, in bit 0. */
// @ts-ignore: decorator
@inline export function fiveBits(nibbles: u32, fifths: u32): u32 {
  return (nibbles & 0x0f0f0f0f) | ((fifths & 0x01010101) << 4);
}

/** Four weights of q3_K in run p of 32 columns, as q6_K has them, from the words with their two lower bits and with their third. */
// @ts-ignore: decorator
@inline export function sixBits(lower: u32, third: u32, p: u32): u32 {
  return (((lower >> ((p & 3) << 1)) & 0x03030303) | (((third >> p) & 0x01010101) << 2)) + 0x1c1c1c1c;
}

/** Bits 4..7 of four bytes, set where bits 0..3 of `bits` are: the multiplication puts bit i at bit 8i. */
// @ts-ignore: decorator
@inline export function upperBits(bits: u32): u32 {
  return (((bits & 15) * 0x00204081) & 0x01010101) * 0xf0;
}
