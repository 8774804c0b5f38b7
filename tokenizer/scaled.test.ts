import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { exp, one, plus, ratio, times, zero } from "./scaled.js";

describe("scaled numbers", () => {
  it("have an exp() within 4e-16 of Math.exp, as far as a float64 goes", () => {
    const scale = times(exp(0), one);
    expect(scale).toEqual(one);
    fc.assert(
      fc.property(fc.double({ min: -700, max: 700, noNaN: true }), (x) => {
        const expected = Math.exp(x);
        expect(Math.abs(ratio(exp(x), one) - expected) / expected).toBeLessThan(4e-16);
      }),
      { numRuns: 5000 },
    );
  });

  it("keep relations that a float64 would lose", () => {
    fc.assert(
      fc.property(
        fc.double({ min: -1e5, max: 1e5, noNaN: true }),
        fc.double({ min: -20, max: 20, noNaN: true }),
        (x, difference) => {
          const sum = x + difference; // rounded, and so not quite that far from x
          const expected = Math.exp(sum - x);
          expect(Math.abs(ratio(exp(sum), exp(x)) - expected) / expected).toBeLessThan(1e-14);
        },
      ),
    );
    expect(ratio(exp(-1e238), exp(-0.99e238))).toBe(0);
    expect(ratio(exp(-1e238), exp(-1e238))).toBe(1);
  });

  it("add up, from 0 on", () => {
    expect(plus(zero, one)).toEqual(one);
    expect(plus(one, zero)).toEqual(one);
    expect(plus(one, exp(-1e6))).toEqual(one);
    const sum = Array.from({ length: 1000 }, () => exp(-5000)).reduce(plus, zero);
    expect(ratio(sum, exp(-5000))).toBeCloseTo(1000, 9);
  });
});
