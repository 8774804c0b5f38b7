/**
 * Elementary functions to any precision, as plainly as can be: the oracle for runtime/math.ts. A number is a BigInt
 * counting units of 2^-fractionBits; every operation rounds down, so leave some 60 bits to spare.
 */
export function fixedPoint(fractionBits: number) {
  const bits = BigInt(fractionBits);
  const one = 1n << bits;

  const multiply = (a: bigint, b: bigint) => (a * b) >> bits;
  const divide = (a: bigint, b: bigint) => (a << bits) / b;

  /** Exact, unless the float64 has bits below 2^-fractionBits. */
  function from(x: number): bigint {
    const { integer, exponent } = integerTimesPowerOfTwo(x);
    return exponent >= 0 ? (integer << BigInt(exponent)) * one : (integer << bits) >> BigInt(-exponent);
  }

  /** The nearest float64, for |x| that a float64 with its exponent raised by fractionBits can hold. */
  function toNumber(x: bigint): number {
    return Number(x) / 2 ** fractionBits;
  }

  /** The Taylor series of x / 2^16, squared 16 times. */
  function exp(x: bigint): bigint {
    const small = x >> 16n;
    let power = one;
    for (let n = 1n, term = one; term !== 0n && term !== -1n; n++) {
      term = multiply(term, small) / n;
      power += term;
    }
    for (let i = 0; i < 16; i++) power = multiply(power, power);
    return power;
  }

  /** The y with e^y = x, by Halley's method: each step triples the digits of the one before. */
  function log(x: bigint, guess: number): bigint {
    let y = from(guess);
    for (let i = 0; i < 4; i++) {
      const power = exp(y);
      y += divide(2n * (x - power), x + power);
    }
    return y;
  }

  /** The Taylor series of x / 2^24, its angle doubled 24 times. */
  function sincos(x: bigint): { sin: bigint; cos: bigint } {
    const small = x >> 24n;
    const square = multiply(small, small);
    let sin = 0n;
    let cos = 0n;
    for (let n = 1n, c = one, s = small; c !== 0n && c !== -1n; n += 2n) {
      cos += c;
      sin += s;
      c = multiply(-c, square) / (n * (n + 1n));
      s = multiply(-s, square) / ((n + 1n) * (n + 2n));
    }
    for (let i = 0; i < 24; i++) [sin, cos] = [2n * multiply(sin, cos), one - 2n * multiply(sin, sin)];
    return { sin, cos };
  }

  /** How far a float64 is from an exact value, in units in the last place of the float64 grid there. */
  function errorInUlp(actual: number, exact: bigint): number {
    const magnitude = exact < 0n ? -exact : exact;
    const exponent = Math.max(magnitude.toString(2).length - 1 - fractionBits, -1022);
    const difference = from(actual) - exact;
    // Scaled first, so that Number() does not overflow: 64 bits below the unit are enough.
    const scaled = (difference << 64n) >> BigInt(exponent - 52 + fractionBits);
    return Math.abs(Number(scaled)) / 2 ** 64;
  }

  return { one, multiply, divide, from, toNumber, exp, log, sincos, errorInUlp };
}

/** x = integer * 2^exponent, exactly. */
function integerTimesPowerOfTwo(x: number): { integer: bigint; exponent: number } {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, x);
  const bits = view.getBigUint64(0);
  const biased = Number((bits >> 52n) & 2047n);
  if (biased === 2047) throw new RangeError(`Cannot write ${x} as a fixed-point number`);
  const fraction = bits & ((1n << 52n) - 1n);
  const magnitude = biased === 0 ? fraction : fraction | (1n << 52n);
  return { integer: bits >> 63n ? -magnitude : magnitude, exponent: Math.max(biased, 1) - 1075 };
}
