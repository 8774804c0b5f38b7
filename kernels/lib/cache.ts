// How keys and values lie in the cache. Of one head the positions follow each other; a row is one head at one position, its
// dimensions rounded up to a multiple of 8 with zeros:
//   f32   f32[size]
//   f16   f16[size]
//   q8_0  int8[size], then for every 32 dimensions their scale as f32
// The kernels are written once, over T: f32, u16 (the bits of a half float) or i8.

import { scaledHalf4, TWO_112 } from "./inline";

/** Dimensions of a row: those of a head, rounded up to 8. */
export function paddedSize(headDim: usize): usize {
  return (headDim + 7) & ~7;
}

/** Bytes of a row. */
export function rowBytes<T>(size: usize): usize {
  const scales: usize = sizeof<T>() === 1 ? ((size + 31) >> 5) << 2 : 0;
  return size * sizeof<T>() + scales;
}

/**
 * Dimensions d to d+3 of a row as f32. `mask` is i32x4.splat(0x8fffe000), `rebias` f32x4.splat(2^112): what makes a float of a half
 * (see scaledHalf4), kept in locals of the caller.
 */
// @ts-ignore: decorator
@inline export function cached4<T>(row: usize, d: usize, size: usize, mask: v128, rebias: v128): v128 {
  if (sizeof<T>() === 4) {
    return v128.load(row + (d << 2));
  } else if (sizeof<T>() === 2) {
    return f32x4.mul(scaledHalf4(v128.load16x4_s(row + (d << 1)), mask), rebias);
  } else {
    const integers = i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(v128.load32_zero(row + d)));
    return f32x4.mul(f32x4.convert_i32x4_s(integers), v128.load32_splat(row + size + ((d >> 5) << 2)));
  }
}

/** Sums of four vectors' lanes, each as (0 + 1) + (2 + 3), as sum4 adds them. */
// @ts-ignore: decorator
@inline export function sums4(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab01 = v128.shuffle<i32>(a, b, 0, 4, 1, 5);
  const ab23 = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
  const cd01 = v128.shuffle<i32>(c, d, 0, 4, 1, 5);
  const cd23 = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
  return f32x4.add(
    f32x4.add(v128.shuffle<i32>(ab01, cd01, 0, 1, 4, 5), v128.shuffle<i32>(ab01, cd01, 2, 3, 6, 7)),
    f32x4.add(v128.shuffle<i32>(ab23, cd23, 0, 1, 4, 5), v128.shuffle<i32>(ab23, cd23, 2, 3, 6, 7)),
  );
}

/**
 * The bits of four floats as half floats, rounded half to even, one in each 32-bit lane without its sign: more than 0x7bff where the
 * float is NaN, infinite or rounds to more than 65,504.
 *
 * A normal half is the float's upper bits, rounded, with a bias smaller by 112; what is below 2^-14 is rounded by adding it to 0.5, of which
 * the last bit is worth 2^-24, as that of a subnormal half.
 */
// @ts-ignore: decorator
@inline export function halves4(x: v128): v128 {
  const magnitude = f32x4.abs(x);
  const odd = v128.and(i32x4.shr_u(magnitude, 13), i32x4.splat(1));
  const normal = i32x4.shr_u(i32x4.add(i32x4.add(magnitude, i32x4.splat(0xfff - (112 << 23))), odd), 13);
  const subnormal = i32x4.sub(f32x4.add(magnitude, f32x4.splat(0.5)), f32x4.splat(0.5));
  return v128.bitselect(subnormal, normal, f32x4.lt(magnitude, f32x4.splat(<f32>6.103515625e-5)));
}

/** Four dimensions at p, or the last two and zeros: `count` are left, an even number. */
// @ts-ignore: decorator
@inline export function dimensions4(p: usize, count: usize): v128 {
  return count >= 4 ? v128.load(p) : v128.load64_zero(p);
}
