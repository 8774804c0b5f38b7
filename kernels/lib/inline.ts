// The few helpers that have to be inlined into the kernels' loops. asc inlines only what says so when it does not
// optimize, and it must not optimize (see build.mjs). Function decorators are no TypeScript, hence the ts-ignore
// lines, and hence a file of their own that the linter skips.

/** Sum of four lanes, as (0 + 1) + (2 + 3). */
// @ts-ignore: decorator
@inline export function sum4(v: v128): f32 {
  return f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3));
}

/** Sum of four int32 lanes. */
// @ts-ignore: decorator
@inline function sum4i(v: v128): i32 {
  return i32x4.extract_lane(v, 0) + i32x4.extract_lane(v, 1) + i32x4.extract_lane(v, 2) + i32x4.extract_lane(v, 3);
}

/** acc + a * b, rounded twice: a fused form would round differently from machine to machine. */
// @ts-ignore: decorator
@inline export function mulAdd(a: v128, b: v128, acc: v128): v128 {
  return f32x4.add(acc, f32x4.mul(a, b));
}

/**
 * Four half floats as f32, times 2^-112: the exponent is left unadjusted (its bias differs by 112), and who uses the
 * value folds 2^112 into another factor. Exact for subnormals too; Inf and NaN are refused when weights are packed.
 * `mask` is i32x4.splat(0x8fffe000), kept in a local of the caller: V8 would load the constant at every use.
 */
// @ts-ignore: decorator
@inline export function scaledHalf4(halves: v128, mask: v128): v128 {
  return v128.and(i32x4.shl(halves, 13), mask);
}

/**
 * exp of four lanes; max relative error 8.2e-8 on [-80, 88]; arguments below -80 count as -80 (1.8e-35: what is
 * smaller would be slow, subnormal, and nothing beside 1). NaN stays NaN.
 *
 * exp(x) = 2^n * exp(r) with n = round(x / ln 2), r = x - n ln 2 in [-0.35, 0.35]. n is found by adding 1.5 * 2^23,
 * which leaves it in the low bits of the sum; ln 2 is subtracted in two parts (0.693359375 has 9 significant bits, so n times
 * it is exact); exp(r) is 1 + r + r^2 p(r) with Cephes' degree 5 minimax polynomial (expf.c).
 */
// @ts-ignore: decorator
@inline export function exp4(x: v128): v128 {
  // in this order pmax keeps a NaN in x
  const a = f32x4.pmax(x, f32x4.splat(-80));
  const t = f32x4.add(f32x4.mul(a, f32x4.splat(<f32>1.44269504)), f32x4.splat(12582912));
  const n = f32x4.sub(t, f32x4.splat(12582912));
  const r = f32x4.sub(f32x4.sub(a, f32x4.mul(n, f32x4.splat(<f32>0.693359375))), f32x4.mul(n, f32x4.splat(<f32>-2.12194440e-4)));
  const r2 = f32x4.mul(r, r);
  const p0 = mulAdd(f32x4.splat(<f32>1.6666665459e-1), r, f32x4.splat(<f32>5.0000001201e-1));
  const p1 = mulAdd(f32x4.splat(<f32>8.3334519073e-3), r, f32x4.splat(<f32>4.1665795894e-2));
  const p2 = mulAdd(f32x4.splat(<f32>1.9875691500e-4), r, f32x4.splat(<f32>1.3981999507e-3));
  const p = mulAdd(mulAdd(p2, r2, p1), r2, p0);
  const y = f32x4.add(mulAdd(p, r2, r), f32x4.splat(1));
  return i32x4.add(y, i32x4.shl(t, 23));
}

/** gate * sigmoid(gate) * up of four lanes. The exponent is capped so that exp stays finite: 1 / (1 + e^87) is 1.6e-38. */
// @ts-ignore: decorator
@inline export function siluMul4(gate: v128, up: v128): v128 {
  // in this order pmin keeps a NaN in gate
  const e = exp4(f32x4.pmin(f32x4.neg(gate), f32x4.splat(87)));
  return f32x4.mul(f32x4.div(gate, f32x4.add(f32x4.splat(1), e)), up);
}

/**
 * acc + dot of groups of four bytes, in the relaxed builds: `x` int8, `w` in 0..127, which is where the instructions'
 * results are the same on every machine.
 *
 * With 32-bit sums that is one instruction where the processor has it (x86 with AVX-VNNI, ARM with dot products), and five
 * elsewhere. With 16-bit sums, two for each lane, it is two instructions on every x86; dotSums adds them up. They hold
 * n dots of w to m when n * 2 * m * 127 < 2^15: eight of w to 15, four of w to 31, two of w to 63.
 */
// @ts-ignore: decorator
@inline export function dotBytes(x: v128, w: v128, acc: v128): v128 {
  if (SUM_BITS === 16) return i16x8.add(acc, i16x8.relaxed_dot_i8x16_i7x16_s(x, w));
  return i32x4.relaxed_dot_i8x16_i7x16_add_s(x, w, acc);
}

/** Whether q8_0 multiplies with dotBytes, the activations' positive and negative parts apart, or with dotPairs. */
// @ts-ignore: decorator
@inline export const SPLIT_DOTS: bool = ASC_FEATURE_RELAXED_SIMD && SUM_BITS === 32;

/** acc + the dots of x with w and of y with v, weights to 63; 32-bit sums in all builds. */
// @ts-ignore: decorator
@inline export function dotTwo(x: v128, w: v128, y: v128, v: v128, acc: v128): v128 {
  if (SUM_BITS === 16) {
    const both = i16x8.add(i16x8.relaxed_dot_i8x16_i7x16_s(x, w), i16x8.relaxed_dot_i8x16_i7x16_s(y, v));
    return i32x4.add(acc, i32x4.extadd_pairwise_i16x8_s(both));
  }
  return dotBytes(y, v, dotBytes(x, w, acc));
}

/** acc + the dots of four x with four w to 31; 32-bit sums in all builds. */
// @ts-ignore: decorator
@inline export function dotFour(x0: v128, w0: v128, x1: v128, w1: v128, x2: v128, w2: v128, x3: v128, w3: v128, acc: v128): v128 {
  if (SUM_BITS === 16) {
    const first = i16x8.add(i16x8.relaxed_dot_i8x16_i7x16_s(x0, w0), i16x8.relaxed_dot_i8x16_i7x16_s(x1, w1));
    const second = i16x8.add(i16x8.relaxed_dot_i8x16_i7x16_s(x2, w2), i16x8.relaxed_dot_i8x16_i7x16_s(x3, w3));
    return i32x4.add(acc, i32x4.extadd_pairwise_i16x8_s(i16x8.add(first, second)));
  }
  return dotBytes(x3, w3, dotBytes(x2, w2, dotBytes(x1, w1, dotBytes(x0, w0, acc))));
}

/** lastColumns (k-quants.ts) of four rows; bits0, bits1 and bits2 are i8x16.splat of 3, 12 and 48. */
// @ts-ignore: decorator
@inline export function lastColumns4(a: v128, b: v128, c: v128, bits0: v128, bits1: v128, bits2: v128): v128 {
  const low = v128.or(v128.and(i16x8.shr_u(a, 6), bits0), v128.and(i16x8.shr_u(b, 4), bits1));
  return v128.or(low, v128.and(i16x8.shr_u(c, 2), bits2));
}

/** The 32-bit sums in an accumulator of dots. */
// @ts-ignore: decorator
@inline export function dotSums(acc: v128): v128 {
  if (SUM_BITS === 16) return i32x4.extadd_pairwise_i16x8_s(acc);
  return acc;
}

/** What an accumulator of dots starts from so that dotSumsFrom gives `start` and the dots: 16 bits hold no start, it is added then. */
// @ts-ignore: decorator
@inline export function dotsFrom(start: v128): v128 {
  if (SUM_BITS === 16) return i16x8.splat(0);
  return start;
}

/** The 32-bit sums in an accumulator of dots that began with dotsFrom(start). */
// @ts-ignore: decorator
@inline export function dotSumsFrom(start: v128, acc: v128): v128 {
  if (SUM_BITS === 16) return i32x4.add(start, i32x4.extadd_pairwise_i16x8_s(acc));
  return acc;
}

/**
 * The word of position 0, in every lane, of the four at `p`, which are `words`; then of positions 1, 2, 3. V8 13, where the relaxed builds
 * run, is faster with four loads (1.1 x); V8 11 brings loads to the top of a loop, where one and four shuffles keep fewer values alive.
 */
// @ts-ignore: decorator
@inline export function position0(p: usize, words: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return v128.load32_splat(p);
  return v128.shuffle<i32>(words, words, 0, 0, 0, 0);
}

// @ts-ignore: decorator
@inline export function position1(p: usize, words: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return v128.load32_splat(p, 4);
  return v128.shuffle<i32>(words, words, 1, 1, 1, 1);
}

// @ts-ignore: decorator
@inline export function position2(p: usize, words: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return v128.load32_splat(p, 8);
  return v128.shuffle<i32>(words, words, 2, 2, 2, 2);
}

// @ts-ignore: decorator
@inline export function position3(p: usize, words: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return v128.load32_splat(p, 12);
  return v128.shuffle<i32>(words, words, 3, 3, 3, 3);
}

/** acc + dot of pairs of int16. */
// @ts-ignore: decorator
@inline export function dotPairs(a: v128, b: v128, acc: v128): v128 {
  return i32x4.add(acc, i32x4.dot_i16x8_s(a, b));
}

/** Stores the first `count` (1 to 8) of eight rows: the last group of a matrix may have fewer than eight. */
export function storeRows(out: usize, rows0: v128, rows4: v128, count: usize): void {
  if (count >= 8) {
    v128.store(out, rows0);
    v128.store(out, rows4, 16);
    return;
  }
  if (count >= 4) {
    v128.store(out, rows0);
    rows0 = rows4;
    out += 16;
    count -= 4;
  }
  if (count & 2) {
    v128.store64_lane(out, rows0, 0);
    rows0 = v128.shuffle<i32>(rows0, rows0, 2, 3, 2, 3);
    out += 8;
  }
  if (count & 1) v128.store32_lane(out, rows0, 0);
}

/** Adds the first `count` (1 to 8) of eight rows to what is at `out`. */
export function addRows(out: usize, rows0: v128, rows4: v128, count: usize): void {
  if (count >= 8) {
    v128.store(out, f32x4.add(v128.load(out), rows0));
    v128.store(out, f32x4.add(v128.load(out, 16), rows4), 16);
    return;
  }
  for (; count > 0; count--, out += 4) {
    store<f32>(out, load<f32>(out) + f32x4.extract_lane(rows0, 0));
    // the next row comes to the front
    rows0 = v128.shuffle<i32>(rows0, rows4, 1, 2, 3, 4);
    rows4 = v128.shuffle<i32>(rows4, rows4, 1, 2, 3, 0);
  }
}

/** The factor that scaledHalf4 leaves out, 2^112. */
// @ts-ignore: decorator
@inline export const TWO_112: f32 = <f32>5192296858534827628530496329220096.0;

/**
 * Largest magnitude of 32 floats at p, in every lane; NaN if one of them is. Magnitudes are compared as integers: so they
 * have the same order, with NaN above all, and one instruction instead of the seven that f32x4.max takes on x86.
 */
// @ts-ignore: decorator
@inline export function highest32(p: usize): v128 {
  const a = i32x4.max_s(f32x4.abs(v128.load(p)), f32x4.abs(v128.load(p, 16)));
  const b = i32x4.max_s(f32x4.abs(v128.load(p, 32)), f32x4.abs(v128.load(p, 48)));
  const c = i32x4.max_s(f32x4.abs(v128.load(p, 64)), f32x4.abs(v128.load(p, 80)));
  const d = i32x4.max_s(f32x4.abs(v128.load(p, 96)), f32x4.abs(v128.load(p, 112)));
  let m = i32x4.max_s(i32x4.max_s(a, b), i32x4.max_s(c, d));
  m = i32x4.max_s(m, v128.shuffle<i32>(m, m, 2, 3, 0, 1));
  return i32x4.max_s(m, v128.shuffle<i32>(m, m, 1, 0, 3, 2));
}

/** 127 / highest, by which a block's activations become int8; finite (0 * Inf would be NaN) also where `highest` is zero or near it. */
// @ts-ignore: decorator
@inline export function inverseScale(highest: f32): v128 {
  return f32x4.splat(highest !== 0 ? min<f32>(<f32>127 / highest, f32.MAX_VALUE) : 0);
}

/**
 * Sixteen floats at p times `inverse`, rounded half to even, as int8. They are within -127..127 by the choice of `inverse`, so that adding
 * 1.5 * 2^23 rounds them and leaves them in the low bits. A NaN becomes some int8; then the scale is infinite or NaN, too.
 */
// @ts-ignore: decorator
@inline export function round16(p: usize, inverse: v128): v128 {
  const rounder = f32x4.splat(12582912);
  const a = i32x4.sub(mulAdd(v128.load(p), inverse, rounder), rounder);
  const b = i32x4.sub(mulAdd(v128.load(p, 16), inverse, rounder), rounder);
  const c = i32x4.sub(mulAdd(v128.load(p, 32), inverse, rounder), rounder);
  const d = i32x4.sub(mulAdd(v128.load(p, 48), inverse, rounder), rounder);
  return i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
}

/** The even bytes of v as int16: as 32-bit lanes the pairs (0, 2), (4, 6), (8, 10), (12, 14). */
// @ts-ignore: decorator
@inline export function evenBytes(v: v128): v128 {
  return i16x8.shr_s(i16x8.shl(v, 8), 8);
}

/** The odd bytes of v as int16: as 32-bit lanes the pairs (1, 3), (5, 7), (9, 11), (13, 15). */
// @ts-ignore: decorator
@inline export function oddBytes(v: v128): v128 {
  return i16x8.shr_s(v, 8);
}

/** Stores the four 32-bit lanes of v at p, p + stride, p + 2 stride, p + 3 stride. */
// @ts-ignore: decorator
@inline export function scatter4(p: usize, stride: usize, v: v128): void {
  v128.store32_lane(p, v, 0);
  v128.store32_lane(p + stride, v, 1);
  v128.store32_lane(p + 2 * stride, v, 2);
  v128.store32_lane(p + 3 * stride, v, 3);
}

/** acc + 256 times the dot of four int8 weights per lane with the pairs `even` (columns 0, 2) and `odd` (1, 3). */
// @ts-ignore: decorator
@inline export function dotEvenOdd(w: v128, even: v128, odd: v128, acc: v128, high: v128): v128 {
  return dotPairs(v128.and(w, high), odd, dotPairs(i16x8.shl(w, 8), even, acc));
}

/** acc + scale * sums of four rows: `halves` their weights' scales as scaledHalf4, `scale` the activations' (with 2^112 in it). */
// @ts-ignore: decorator
@inline export function scaleSums(sums: v128, halves: v128, scale: v128, acc: v128): v128 {
  return f32x4.add(acc, f32x4.mul(f32x4.convert_i32x4_s(sums), f32x4.mul(halves, scale)));
}

/**
 * acc + dot of eight 4-bit weights per lane, 0..15, with their activations. w holds columns c..c+3 in its low nibbles and
 * c+16..c+19 in its high ones. Relaxed build; `low` is i8x16.splat(15).
 */
// @ts-ignore: decorator
@inline export function dotNibbles(w: v128, columns: v128, columns16: v128, acc: v128, low: v128): v128 {
  return dotBytes(columns16, v128.and(i16x8.shr_u(w, 4), low), dotBytes(columns, v128.and(w, low), acc));
}

/** Sum of the 32 int8 in two vectors. */
// @ts-ignore: decorator
@inline export function sumBytes(a: v128, b: v128): i32 {
  return sum4i(
    i32x4.add(
      i32x4.extadd_pairwise_i16x8_s(i16x8.extadd_pairwise_i8x16_s(a)),
      i32x4.extadd_pairwise_i16x8_s(i16x8.extadd_pairwise_i8x16_s(b)),
    ),
  );
}

/** acc + sums * factors, integers: `sums` of four rows, `factors` the low four of eight int16. */
// @ts-ignore: decorator
@inline export function addScaledLow(acc: v128, sums: v128, factors: v128): v128 {
  return i32x4.add(acc, i32x4.mul(sums, i32x4.extend_low_i16x8_s(factors)));
}

/** The same with the high four of eight int16. */
// @ts-ignore: decorator
@inline export function addScaledHigh(acc: v128, sums: v128, factors: v128): v128 {
  return i32x4.add(acc, i32x4.mul(sums, i32x4.extend_high_i16x8_s(factors)));
}

/** In each 32-bit lane the lower 16 bits of a, then those of b. `low` is i32x4.splat(0xffff). */
// @ts-ignore: decorator
@inline export function joinLow16(a: v128, b: v128, low: v128): v128 {
  return v128.or(v128.and(a, low), i32x4.shl(b, 16));
}

/** acc + scale * (d * sums - dmin * mins) of four rows: a block of a k-quant that has minimums. */
// @ts-ignore: decorator
@inline export function addBlock(acc: v128, scale: v128, d: v128, sums: v128, dmin: v128, mins: v128): v128 {
  const y = f32x4.sub(f32x4.mul(f32x4.convert_i32x4_s(sums), d), f32x4.mul(f32x4.convert_i32x4_s(mins), dmin));
  return f32x4.add(acc, f32x4.mul(scale, y));
}

/** Columns 20..23 of a sub-block of packed q5_K, of four rows from the first two planes at p; 24..27 from the next two; see q5_k.ts. */
// @ts-ignore: decorator
@inline export function columns20(p: usize, low: v128, high: v128): v128 {
  return v128.or(v128.and(i16x8.shr_u(v128.load(p), 5), low), v128.and(i16x8.shr_u(v128.load(p, 32), 2), high));
}

/** Columns 28..31, of four rows from all planes at p. `low` is i8x16.splat(7), bit3 and bit4 of 8 and 16; `high` above of 24. */
// @ts-ignore: decorator
@inline export function columns28(p: usize, low: v128, bit3: v128, bit4: v128): v128 {
  const upper = v128.or(v128.and(i16x8.shr_u(v128.load(p, 32), 4), bit3), v128.and(i16x8.shr_u(v128.load(p, 96), 3), bit4));
  return v128.or(v128.and(i16x8.shr_u(v128.load(p, 128), 5), low), upper);
}

/** Sum of sixteen int8. */
// @ts-ignore: decorator
@inline export function sumBytes16(a: v128): i32 {
  return sum4i(i32x4.extadd_pairwise_i16x8_s(i16x8.extadd_pairwise_i8x16_s(a)));
}

/**
 * acc + dot of four bytes per lane, 0..127 (unsigned), with the int16 pairs `first` (columns 0, 2) and `second` (1, 3). Simd build;
 * `even` is i16x8.splat(255).
 */
// @ts-ignore: decorator
@inline export function dotSplit(w: v128, first: v128, second: v128, acc: v128, even: v128): v128 {
  return dotPairs(i16x8.shr_u(w, 8), second, dotPairs(v128.and(w, even), first, acc));
}
