import { describe, expect, it } from "vitest";
import { fixedPoint } from "../../test/fixed-point.js";
import { ropeTable } from "./rope-table.js";

const exact = fixedPoint(160);

/** ropeBase^(-2i/ropeDim) with 160 bits after the point. */
function exactFrequency(ropeBase: number, i: number, ropeDim: number): bigint {
  const ln = exact.log(exact.from(ropeBase), Math.log(ropeBase));
  return exact.exp((-ln * BigInt(2 * i)) / BigInt(ropeDim));
}

// Rounding to f32 costs 2^-25 below 1; the rest is what float64 angles of up to 32,768 may cost.
const bound = 2 ** -25 + 8e-12;

describe("ropeTable()", () => {
  it("is right at every position to 32,768 and every frequency of heads of 64", { timeout: 60_000 }, () => {
    const positions = 32768;
    const table = ropeTable({ ropeDim: 64, ropeBase: 10000 }, 0, positions + 1);
    let worst = 0;
    for (let i = 0; i < 32; i++) {
      // the sines and cosines of p * f, one p after the other: cos(a + f) = cos a cos f - sin a sin f, and so on
      const step = exact.sincos(exactFrequency(10000, i, 64));
      let sin = 0n;
      let cos = exact.one;
      for (let position = 0; position <= positions; position++) {
        const at = (position * 32 + i) * 2;
        worst = Math.max(
          worst,
          Math.abs(table[at]! - exact.toNumber(cos)),
          Math.abs(table[at + 1]! - exact.toNumber(sin)),
        );
        [sin, cos] = [
          exact.multiply(sin, step.cos) + exact.multiply(cos, step.sin),
          exact.multiply(cos, step.cos) - exact.multiply(sin, step.sin),
        ];
      }
    }
    expect(worst).toBeLessThanOrEqual(bound);
  });

  it.each([
    { ropeDim: 128, ropeBase: 10000 },
    { ropeDim: 128, ropeBase: 1e6 },
    { ropeDim: 80, ropeBase: 500000 },
    { ropeDim: 6, ropeBase: 10000 },
    { ropeDim: 4, ropeBase: 10000 },
    { ropeDim: 2, ropeBase: 10000 },
  ])("is right at sampled positions for heads of $ropeDim, base $ropeBase", ({ ropeDim, ropeBase }) => {
    const table = ropeTable({ ropeDim, ropeBase }, 0, 32769);
    let worst = 0;
    for (let i = 0; i < ropeDim / 2; i++) {
      const frequency = exactFrequency(ropeBase, i, ropeDim);
      for (const position of [0, 1, 2, 3, 355, 511, 512, 2047, 4095, 4096, 10007, 16384, 32767, 32768]) {
        const { sin, cos } = exact.sincos(frequency * BigInt(position));
        const at = (position * (ropeDim / 2) + i) * 2;
        worst = Math.max(
          worst,
          Math.abs(table[at]! - exact.toNumber(cos)),
          Math.abs(table[at + 1]! - exact.toNumber(sin)),
        );
      }
    }
    expect(worst).toBeLessThanOrEqual(bound);
  });

  it("has a cosine and a sine for every pair of every position, and no rotation at position 0", () => {
    const table = ropeTable({ ropeDim: 6, ropeBase: 10000 }, 0, 5);
    expect(table).toHaveLength(5 * 6);
    expect([...table.subarray(0, 6)]).toEqual([1, 0, 1, 0, 1, 0]);
  });
});
