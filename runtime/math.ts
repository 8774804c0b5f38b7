/**
 * exp, log, pow, sin and cos that give the same bits in every JavaScript engine.
 *
 * The language leaves the precision of Math.exp and its like to the engine, and engines differ in the last place. What
 * is here is made of +, -, *, /, Math.round and Math.floor alone, which IEEE 754 defines to the last bit. The polynomials and the
 * splitting of constants are those of fdlibm (Sun Microsystems, 1993; https://www.netlib.org/fdlibm/), in float64.
 * Errors are in units in the last place (ulp) of the exact result, as measured by math.test.ts.
 */

/** A number as the sum of two float64, the second at most half a unit in the last place of the first: 106 bits. */
interface TwoDoubles {
  readonly high: number;
  readonly low: number;
}

// ln 2 = ln2High + ln2Low to 86 bits. The high part ends in 21 zero bits, so that its product with an exponent is exact.
const ln2High = 6.931471803691238e-1;
const ln2Low = 1.9082149292705877e-10;

/** The smallest power of two that is a normal number is 2^-1022, the largest is 2^1023. */
const powersOfTwo = new Float64Array(2046);
for (let i = 0, power = 2.2250738585072014e-308; i < powersOfTwo.length; i++, power *= 2)
  powersOfTwo[i] = power;

const bits = new DataView(new ArrayBuffer(8));

/** 2^(i/32). */
const rootsOfTwo = Float64Array.from({ length: 32 }, (_, i) => pow(2, i / 32));

/** e^x. Largest error measured: 0.82 ulp. Overflows to Infinity, and passes through the subnormals to 0. */
export function exp(x: number): number {
  return expOfSum(x, 0);
}

/** e^(x + tail), where |tail| is at most about an ulp of x: what `pow` has left over beyond a float64 is not lost. */
function expOfSum(x: number, tail: number): number {
  if (!(x < 709.79)) return x > 0 ? Infinity : Number.NaN;
  if (x < -745.14) return 0;

  // x = k ln 2 + r with |r| <= ln 2 / 2, r in two parts
  const k = Math.round(x * Math.LOG2E);
  const high = x - k * ln2High;
  const low = k * ln2Low - tail;
  const r = high - low;

  // e^r = 1 + 2r / (R - r), where R = r (e^r + 1) / (e^r - 1) is nearly 2 + r^2/6 (fdlibm, e_exp.c)
  const rr = r * r;
  const c =
    r -
    rr *
      (1.6666666666666602e-1 +
        rr *
          (-2.7777777777015593e-3 +
            rr * (6.613756321437934e-5 + rr * (-1.6533902205465252e-6 + rr * 4.1381367970572385e-8))));
  const y = 1 - (low - (r * c) / (2 - c) - high);

  // In two steps, of which the first is exact: 2^k alone may be out of range where y * 2^k is not.
  const half = Math.floor(k / 2);
  return y * powerOfTwo(half) * powerOfTwo(k - half);
}

/**
 * e^x for x <= 0, half as long as `exp` takes: for sums over a vocabulary. Largest error measured: 1.2 ulp. 0 below -708.
 *
 * x = (k + i/32) ln 2 + r with |r| <= ln 2 / 64, for which the first terms of e^r's series are enough: r^7 / 7! < 2^-57.
 */
export function expOfNegative(x: number): number {
  if (!(x > -708)) return 0;
  const n = Math.floor(x * (32 / Math.LN2) + 0.5); // 32 k + i
  const r = x - n * (ln2High / 32) - n * (ln2Low / 32);
  const series = r + r * r * (1 / 2 + r * (1 / 6 + r * (1 / 24 + r * (1 / 120 + r / 720))));
  const root = rootsOfTwo[n & 31]!;
  return (root + root * series) * powerOfTwo(n >> 5);
}

/** The natural logarithm. Largest error measured: 0.51 ulp. -Infinity at 0, NaN below. */
export function log(x: number): number {
  if (!(x > 0)) return x === 0 ? -Infinity : Number.NaN;
  if (x === Infinity) return x;
  return logInTwoDoubles(x).high;
}

/**
 * ln x for finite x > 0, with an absolute error of about 1e-18 more than a float64 would have.
 *
 * x = 2^k m with m in [sqrt(1/2), sqrt(2)], and ln m = 2 atanh(s) = 2 (s + s^3/3 + s^5/5 + ...) with
 * s = (m - 1) / (m + 1), |s| < 0.172. Only s itself needs two doubles: what follows it is 100 times smaller.
 */
function logInTwoDoubles(x: number): TwoDoubles {
  let { fraction: m, exponent: k } = splitFloat(x);
  if (m > Math.SQRT2) {
    m /= 2;
    k += 1;
  }

  const numerator = m - 1; // exact
  const denominator = twoSum(m, 1);
  const s = numerator / denominator.high;
  const product = twoProduct(s, denominator.high);
  const remainder = numerator - product.high - product.low - s * denominator.low;
  const sLow = remainder / denominator.high;

  const z = s * s;
  let series = 0; // 1/3 + z/5 + z^2/7 + ...; z^13 / 29 < 2^-70
  for (let n = 29; n >= 3; n -= 2) series = series * z + 1 / n;

  const sum = twoSum(k * ln2High, 2 * s);
  const rest = sum.low + (2 * (sLow + s * z * series) + k * ln2Low);
  return fastTwoSum(sum.high, rest);
}

/**
 * base^exponent for base >= 0. Largest error measured: 0.82 ulp for |exponent| <= 10 (RoPE's are in -1..0), and growing
 * beyond that by 0.02 ulp for each unit of the exponent. NaN for a negative base.
 */
export function pow(base: number, exponent: number): number {
  if (exponent === 0 || base === 1) return 1;
  if (base > 0 && base < Infinity && Math.abs(exponent) < Infinity) {
    const ln = logInTwoDoubles(base);
    const estimate = exponent * ln.high;
    if (!(Math.abs(estimate) < 800)) return exp(estimate);
    const product = twoProduct(exponent, ln.high);
    return expOfSum(product.high, product.low + exponent * ln.low);
  }
  return exp(exponent * log(base));
}

// pi/2 in three parts of 33 bits, so that the product of each with a quadrant number below 2^20 is exact, and the rest.
const halfPi1 = 1.5707963267341256;
const halfPi2 = 6.077100506303966e-11;
const halfPi3 = 2.0222662487111665e-21;
const halfPi4 = 8.4784276603689e-32;
const twoOverPi = 6.366197723675814e-1;

/** The largest |x| that `sincos` takes, in radians: about 2^20 quarter turns. */
export const sincosLimit = 1.6e6;

/**
 * The sine and cosine of x, in radians, |x| <= 1.6e6. Largest error measured: 0.75 ulp, near multiples of pi/2
 * too. NaN for NaN and the infinities; throws a RangeError beyond the limit, where it could not keep that promise.
 */
export function sincos(x: number): { sin: number; cos: number } {
  if (!Number.isFinite(x)) return { sin: Number.NaN, cos: Number.NaN };
  if (Math.abs(x) > sincosLimit) {
    throw new RangeError(`Cannot take sine and cosine: expected an angle up to ${sincosLimit}, found ${x}`);
  }

  // x = quadrant * pi/2 + r, |r| <= pi/4, r in two doubles
  const quadrant = Math.round(x * twoOverPi);
  const first = twoSum(x - quadrant * halfPi1, -quadrant * halfPi2);
  const second = twoSum(first.high, -quadrant * halfPi3);
  const { high, low } = fastTwoSum(second.high, second.low + (first.low - quadrant * halfPi4));

  const s = sinNearZero(high, low);
  const c = cosNearZero(high, low);
  switch (quadrant & 3) {
    case 0:
      return { sin: s, cos: c };
    case 1:
      return { sin: c, cos: -s };
    case 2:
      return { sin: -s, cos: -c };
    default:
      return { sin: -c, cos: s };
  }
}

/** sin(x + tail) for |x| <= pi/4 (fdlibm, k_sin.c). */
function sinNearZero(x: number, tail: number): number {
  const z = x * x;
  const cube = z * x;
  const r =
    8.33333333332249e-3 +
    z *
      (-1.984126982985795e-4 +
        z * (2.7557313707070068e-6 + z * (-2.5050760253406863e-8 + z * 1.58969099521155e-10)));
  return x - (z * (0.5 * tail - cube * r) - tail - cube * -1.6666666666666632e-1);
}

/** cos(x + tail) for |x| <= pi/4 (fdlibm, k_cos.c, as revised in FreeBSD's msun). */
function cosNearZero(x: number, tail: number): number {
  const z = x * x;
  const zz = z * z;
  const r =
    z * (4.16666666666666e-2 + z * (-1.388888888887411e-3 + z * 2.480158728947673e-5)) +
    zz * zz * (-2.7557314351390663e-7 + z * (2.087572321298175e-9 + z * -1.1359647557788195e-11));
  const halfZ = 0.5 * z;
  const w = 1 - halfZ;
  return w + (1 - w - halfZ + (z * r - x * tail));
}

/** a + b = high + low exactly (Knuth). */
function twoSum(a: number, b: number): TwoDoubles {
  const high = a + b;
  const bInHigh = high - a;
  return { high, low: a - (high - bInHigh) + (b - bInHigh) };
}

/** a + b = high + low exactly, where |a| >= |b| (Dekker). */
function fastTwoSum(a: number, b: number): TwoDoubles {
  const high = a + b;
  return { high, low: b - (high - a) };
}

/** a * b = high + low exactly, where nothing overflows (Dekker, with Veltkamp's splitting into halves of 26 bits). */
function twoProduct(a: number, b: number): TwoDoubles {
  const high = a * b;
  const aTop = topHalf(a);
  const bTop = topHalf(b);
  const aBottom = a - aTop;
  const bBottom = b - bTop;
  return { high, low: aBottom * bBottom - (high - aTop * bTop - aBottom * bTop - aTop * bBottom) };
}

function topHalf(a: number): number {
  const scaled = 134217729 * a; // 2^27 + 1
  return scaled - (scaled - a);
}

/** 2^k for k in -1022..1023. From a table: putting the exponent's bits together made all of `exp` twice as slow. */
function powerOfTwo(k: number): number {
  return powersOfTwo[k + 1022]!;
}

/** x = fraction * 2^exponent with fraction in [1, 2), for finite x > 0. */
function splitFloat(x: number): { fraction: number; exponent: number } {
  const isSubnormal = x < 2.2250738585072014e-308;
  bits.setFloat64(0, isSubnormal ? x * 18014398509481984 : x); // 2^54
  const high = bits.getInt32(0);
  bits.setInt32(0, (high & 0xfffff) | 0x3ff00000);
  return { fraction: bits.getFloat64(0), exponent: (high >> 20) - 1023 - (isSubnormal ? 54 : 0) };
}
