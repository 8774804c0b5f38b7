import { dotBytes } from "./lib/inline";

// What a kernel can come up against on a machine: loops that do nothing but read, or nothing but multiply and add, with the
// instructions that the kernels use. A module of their own, for bench/; the shipped one does not have them.

/**
 * Reads bytes [p, p + bytes), a multiple of 128, and gives back a number that depends on all of them.
 *
 * Eight loads with a sum each: enough in flight that a loop of loads is all there is to wait for.
 */
export function read_bytes(p: usize, bytes: usize): i32 {
  let a = i64x2.splat(0);
  let b = a;
  let c = a;
  let d = a;
  let e = a;
  let f = a;
  let g = a;
  let h = a;
  for (const end = p + bytes; p < end; p += 128) {
    a = i64x2.add(a, v128.load(p));
    b = i64x2.add(b, v128.load(p, 16));
    c = i64x2.add(c, v128.load(p, 32));
    d = i64x2.add(d, v128.load(p, 48));
    e = i64x2.add(e, v128.load(p, 64));
    f = i64x2.add(f, v128.load(p, 80));
    g = i64x2.add(g, v128.load(p, 96));
    h = i64x2.add(h, v128.load(p, 112));
  }
  const sum = i64x2.add(
    i64x2.add(i64x2.add(a, b), i64x2.add(c, d)),
    i64x2.add(i64x2.add(e, f), i64x2.add(g, h)),
  );
  const whole = i64x2.extract_lane(sum, 0) + i64x2.extract_lane(sum, 1);
  return <i32>(whole ^ (whole >> 32));
}

/**
 * Twelve integer dot products with their additions, `rounds` times, in registers: of int8 in the relaxed builds, 32 multiplications
 * and additions each, of int16 in the other, 16 each. Twelve chains, since one step of a chain has to wait for the one before.
 */
export function integer_dots(rounds: usize): i32 {
  const w = i8x16.splat(3);
  let a = i32x4.splat(1);
  let b = i32x4.splat(2);
  let c = i32x4.splat(3);
  let d = i32x4.splat(4);
  let e = i32x4.splat(5);
  let f = i32x4.splat(6);
  let g = i32x4.splat(7);
  let h = i32x4.splat(8);
  let i = i32x4.splat(9);
  let j = i32x4.splat(10);
  let k = i32x4.splat(11);
  let l = i32x4.splat(12);
  if (ASC_FEATURE_RELAXED_SIMD) {
    let x = i8x16.splat(1);
    for (; rounds; rounds--) {
      x = i8x16.add(x, w);
      a = dotBytes(x, w, a);
      b = dotBytes(x, w, b);
      c = dotBytes(x, w, c);
      d = dotBytes(x, w, d);
      e = dotBytes(x, w, e);
      f = dotBytes(x, w, f);
      g = dotBytes(x, w, g);
      h = dotBytes(x, w, h);
      i = dotBytes(x, w, i);
      j = dotBytes(x, w, j);
      k = dotBytes(x, w, k);
      l = dotBytes(x, w, l);
    }
  } else {
    // each dot takes its own sum as an input: one of x and w alone would be computed once for all twelve
    for (; rounds; rounds--) {
      a = i32x4.add(a, i32x4.dot_i16x8_s(a, w));
      b = i32x4.add(b, i32x4.dot_i16x8_s(b, w));
      c = i32x4.add(c, i32x4.dot_i16x8_s(c, w));
      d = i32x4.add(d, i32x4.dot_i16x8_s(d, w));
      e = i32x4.add(e, i32x4.dot_i16x8_s(e, w));
      f = i32x4.add(f, i32x4.dot_i16x8_s(f, w));
      g = i32x4.add(g, i32x4.dot_i16x8_s(g, w));
      h = i32x4.add(h, i32x4.dot_i16x8_s(h, w));
      i = i32x4.add(i, i32x4.dot_i16x8_s(i, w));
      j = i32x4.add(j, i32x4.dot_i16x8_s(j, w));
      k = i32x4.add(k, i32x4.dot_i16x8_s(k, w));
      l = i32x4.add(l, i32x4.dot_i16x8_s(l, w));
    }
  }
  const sum = i32x4.add(
    i32x4.add(i32x4.add(i32x4.add(a, b), i32x4.add(c, d)), i32x4.add(e, f)),
    i32x4.add(i32x4.add(i32x4.add(g, h), i32x4.add(i, j)), i32x4.add(k, l)),
  );
  return i32x4.extract_lane(sum, 0) + i32x4.extract_lane(sum, 1);
}

/** Twelve multiplications and additions of four f32, 8 each, `rounds` times, in registers. They stay within 1 to 3. */
export function float_products(rounds: usize): f32 {
  const w = f32x4.splat(0.5);
  const one = f32x4.splat(1);
  let a = f32x4.splat(1);
  let b = f32x4.splat(1.1);
  let c = f32x4.splat(1.2);
  let d = f32x4.splat(1.3);
  let e = f32x4.splat(1.4);
  let f = f32x4.splat(1.5);
  let g = f32x4.splat(1.6);
  let h = f32x4.splat(1.7);
  let i = f32x4.splat(1.8);
  let j = f32x4.splat(1.9);
  let k = f32x4.splat(2);
  let l = f32x4.splat(3);
  for (; rounds; rounds--) {
    a = f32x4.add(f32x4.mul(a, w), one);
    b = f32x4.add(f32x4.mul(b, w), one);
    c = f32x4.add(f32x4.mul(c, w), one);
    d = f32x4.add(f32x4.mul(d, w), one);
    e = f32x4.add(f32x4.mul(e, w), one);
    f = f32x4.add(f32x4.mul(f, w), one);
    g = f32x4.add(f32x4.mul(g, w), one);
    h = f32x4.add(f32x4.mul(h, w), one);
    i = f32x4.add(f32x4.mul(i, w), one);
    j = f32x4.add(f32x4.mul(j, w), one);
    k = f32x4.add(f32x4.mul(k, w), one);
    l = f32x4.add(f32x4.mul(l, w), one);
  }
  const sum = f32x4.add(
    f32x4.add(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)), f32x4.add(e, f)),
    f32x4.add(f32x4.add(f32x4.add(g, h), f32x4.add(i, j)), f32x4.add(k, l)),
  );
  return f32x4.extract_lane(sum, 0);
}
