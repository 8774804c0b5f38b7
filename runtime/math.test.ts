import { describe, expect, it } from "vitest";
import { fixedPoint } from "../test/fixed-point.js";
import { exp, expOfNegative, log, pow, sincos, sincosLimit } from "./math.js";
import { createRandom } from "./sampling/random.js";

// The oracle holds every float64 exactly: 1,300 bits after the point reach below the least subnormal, 2^-1074.
const exact = fixedPoint(1300);

/** `count` numbers from low to high, evenly spread; the same ones in every run. */
function spread(count: number, low: number, high: number): number[] {
  const random = createRandom(1);
  return Array.from({ length: count }, () => low + (high - low) * random());
}

/** The largest error over the points, with the point. */
function worst<Point>(points: Iterable<Point>, errorInUlp: (point: Point) => number) {
  let found: { ulp: number; at?: Point } = { ulp: 0 };
  for (const at of points) {
    const ulp = errorInUlp(at);
    if (!(ulp <= found.ulp)) found = { ulp, at };
  }
  return found;
}

describe("exp()", () => {
  const error = (x: number) => exact.errorInUlp(exp(x), exact.exp(exact.from(x)));

  it.each([
    [-1e-9, 1e-9],
    [-1, 1],
    [-40, 0],
    [-708, 709.7],
  ])("is within 0.82 ulp from %d to %d", (low, high) => {
    expect(worst(spread(1500, low, high), error).ulp).toBeLessThan(0.82);
  });

  it("is as precise where results are subnormal", () => {
    expect(worst(spread(500, -745.1, -708), error).ulp).toBeLessThan(0.82);
  });

  it("is 1 at 0 and next to it", () => {
    for (const x of [0, -0, 5e-324, -5e-324, 2 ** -54, -(2 ** -55)]) expect(exp(x)).toBe(1);
  });

  it("overflows to Infinity and underflows to 0 at the very last values that do not", () => {
    expect(exp(709.782712893384)).toBeLessThan(Infinity); // ln of the largest float64, rounded down
    expect(exp(709.7827128933841)).toBe(Infinity);
    expect(exp(-745.1332191019411)).toBe(5e-324); // ln of half the least subnormal, rounded up
    expect(exp(-745.1332191019412)).toBe(0);
    expect(exp(1e300)).toBe(Infinity);
    expect(exp(-1e300)).toBe(0);
  });

  it("takes infinities and NaN", () => {
    expect(exp(Infinity)).toBe(Infinity);
    expect(exp(-Infinity)).toBe(0);
    expect(exp(Number.NaN)).toBeNaN();
  });
});

describe("expOfNegative()", () => {
  const error = (x: number) => exact.errorInUlp(expOfNegative(x), exact.exp(exact.from(x)));

  it.each([
    [-1e-9, 0],
    [-1, 0],
    [-40, 0],
    [-708, 0],
  ])("is within 1.2 ulp from %d to %d", (low, high) => {
    expect(worst(spread(1500, low, high), error).ulp).toBeLessThan(1.2);
  });

  it("is within 1.2 ulp where one piece of the table meets the next", () => {
    const edges = Array.from({ length: 200 }, (_, i) => (-(i + 0.5) * Math.LN2) / 32);
    expect(worst(edges, error).ulp).toBeLessThan(1.2);
  });

  it("is 1 at 0, and 0 below -708", () => {
    expect([0, -0, -708, -709, -1e300, -Infinity].map(expOfNegative)).toEqual([1, 1, 0, 0, 0, 0]);
  });
});

describe("log()", () => {
  const error = (x: number) => exact.errorInUlp(log(x), exact.log(exact.from(x), Math.log(x)));

  it.each([
    [0, 4],
    [0.9, 1.1],
    [1 - 1e-9, 1 + 1e-9],
    [0, Number.MAX_VALUE],
    [0, 2 ** -1022],
  ])("is within 0.51 ulp from %d to %d", (low, high) => {
    expect(worst(spread(400, low, high), error).ulp).toBeLessThan(0.51);
  });

  it("is within 0.51 ulp at the ends of the range and beside 1", () => {
    const points = [
      5e-324,
      2 ** -1022,
      Number.MAX_VALUE,
      1 - 2 ** -53,
      1 + 2 ** -52,
      Math.SQRT2,
      Math.SQRT1_2,
    ];
    expect(worst(points, error).ulp).toBeLessThan(0.51);
  });

  it("is 0 at 1, and the nearest float64 to ln 2 at 2", () => {
    expect(log(1)).toBe(0);
    expect(log(2)).toBe(Math.LN2);
    expect(log(0.5)).toBe(-Math.LN2);
  });

  it("takes zeros, infinity, negative numbers and NaN", () => {
    expect(log(0)).toBe(-Infinity);
    expect(log(-0)).toBe(-Infinity);
    expect(log(Infinity)).toBe(Infinity);
    expect(log(-1)).toBeNaN();
    expect(log(-Infinity)).toBeNaN();
    expect(log(Number.NaN)).toBeNaN();
  });
});

describe("pow()", () => {
  const error = ([base, exponent]: readonly [number, number]) => {
    const ln = exact.log(exact.from(base), Math.log(base));
    return exact.errorInUlp(pow(base, exponent), exact.exp(exact.multiply(exact.from(exponent), ln)));
  };

  /** Pairs of base and exponent, the exponent in low..high on either side of 0, the power in range. */
  function pairs(count: number, low: number, high: number): [number, number][] {
    const random = createRandom(2);
    return Array.from({ length: count }, () => {
      const exponent = (low + (high - low) * random()) * (random() < 0.5 ? -1 : 1);
      const ln = (2 * random() - 1) * Math.min(20, 700 / Math.abs(exponent));
      return [Math.exp(ln), exponent];
    });
  }

  it("is within 0.82 ulp for every frequency of RoPE", () => {
    const frequencies = [4, 6, 64, 80, 128].flatMap((ropeDim) =>
      [10000, 500000, 1e6].flatMap((base) =>
        Array.from({ length: ropeDim / 2 }, (_, i) => [base, (-2 * i) / ropeDim] as const),
      ),
    );
    expect(worst(frequencies, error).ulp).toBeLessThan(0.82);
  });

  it("is within 0.82 ulp for exponents up to 10", () => {
    expect(worst(pairs(800, 0, 1), error).ulp).toBeLessThan(0.82);
    expect(worst(pairs(800, 1, 10), error).ulp).toBeLessThan(0.82);
  });

  it.each([100, 1000, 1e6])("is within 0.82 + 0.02 * exponent ulp for exponents up to %d", (limit) => {
    expect(worst(pairs(400, limit / 10, limit), error).ulp).toBeLessThan(0.82 + 0.02 * limit);
  });

  it("is exact where the power is a small integer or the exponent is 0 or 1", () => {
    expect(pow(10, 2)).toBe(100);
    expect(pow(2, 10)).toBe(1024);
    expect(pow(2, -1074)).toBe(5e-324);
    expect(pow(10000, -0.5)).toBe(0.01);
    expect(pow(123.456, 1)).toBe(123.456);
    for (const base of [0, 5, Infinity, Number.NaN]) expect(pow(base, 0)).toBe(1);
  });

  it("overflows to Infinity and underflows to 0", () => {
    expect(pow(10, 309)).toBe(Infinity);
    expect(pow(10, -400)).toBe(0);
    expect(pow(1 + 2 ** -52, 1e300)).toBe(Infinity);
    expect(pow(1 + 2 ** -52, -1e300)).toBe(0);
    expect(pow(5e-324, 1e300)).toBe(0);
    expect(pow(0, 0.5)).toBe(0);
    expect(pow(0, -0.5)).toBe(Infinity);
    expect(pow(Infinity, 0.5)).toBe(Infinity);
    expect(pow(2, Infinity)).toBe(Infinity);
    expect(pow(2, -Infinity)).toBe(0);
    expect(pow(0.5, Infinity)).toBe(0);
  });

  it("is NaN for a negative base and for NaN", () => {
    expect(pow(-2, 2)).toBeNaN();
    expect(pow(Number.NaN, 2)).toBeNaN();
    expect(pow(2, Number.NaN)).toBeNaN();
  });
});

describe("sincos()", () => {
  const error = (x: number) => {
    const { sin, cos } = sincos(x);
    const right = exact.sincos(exact.from(x));
    return Math.max(exact.errorInUlp(sin, right.sin), exact.errorInUlp(cos, right.cos));
  };

  it.each([
    [0, 1],
    [-4, 4],
    [0, 4096],
    [-sincosLimit, sincosLimit],
  ])("is within 0.75 ulp from %d to %d", (low, high) => {
    expect(worst(spread(700, low, high), error).ulp).toBeLessThan(0.75);
  });

  it("is within 0.75 ulp at the float64 nearest to multiples of pi/4, where a sine or cosine vanishes", () => {
    const multiples = [...Array(200).keys()].flatMap((i) => [i, i * 10007]);
    expect(
      worst(
        multiples.map((i) => i * (Math.PI / 4)),
        error,
      ).ulp,
    ).toBeLessThan(0.75);
  });

  it("is within 0.75 ulp at the worst angles below 2^20: continued fractions of pi", () => {
    expect(
      worst([3, 22, 44, 333, 355, 710, 103993, 104348, 208341, 312689, 833719, 1146408], error).ulp,
    ).toBeLessThan(0.75);
  });

  it("is exact at 0, and next to it the sine is the angle", () => {
    expect(sincos(0)).toEqual({ sin: 0, cos: 1 });
    expect(sincos(5e-324)).toEqual({ sin: 5e-324, cos: 1 });
    expect(sincos(-1e-200)).toEqual({ sin: -1e-200, cos: 1 });
  });

  it("is NaN for infinities and NaN", () => {
    for (const x of [Infinity, -Infinity, Number.NaN]) {
      expect(sincos(x)).toEqual({ sin: Number.NaN, cos: Number.NaN });
    }
  });

  it("refuses angles that it cannot reduce", () => {
    expect(() => sincos(2e6)).toThrow(RangeError);
    expect(() => sincos(2e6)).toThrow(
      "Cannot take sine and cosine: expected an angle up to 1600000, found 2000000",
    );
  });
});
