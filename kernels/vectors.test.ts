// rmsnorm, rope, softmax, silu_mul and add against float64 twins written here.

import { describe, expect, it } from "vitest";
import { type Lab, labs, maxError, places, randomFloats } from "../test/kernel-lab.js";

const oddSizes = [1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 31, 33, 64, 172, 1023, 1024];

/** Runs `body` in every place; at the end of memory the arrays are laid so that the last one ends with it. */
function everywhere(lab: Lab, bytes: number, body: () => void): void {
  for (const place of places) {
    lab.place(place, bytes);
    body();
    lab.check();
  }
}

/** Bytes that the lab takes for arrays of these many floats: each has a guard before it and is rounded up to 16. */
const spaceFor = (...counts: number[]) =>
  counts.reduce((sum, count) => sum + 64 + Math.ceil((count * 4) / 16) * 16, 0);

describe.each(labs)("$name build", (lab) => {
  it.each(oddSizes)("rmsnorm of %i columns agrees with float64 to 1e-6 of the largest value", (dim) => {
    const positions = 3;
    const x = randomFloats(positions * dim, dim, 4);
    const weight = randomFloats(dim, dim + 1);
    const expected = [...x].map((value, i) => {
      const row = x.subarray(i - (i % dim), i - (i % dim) + dim);
      const mean = row.reduce((sum, v) => sum + v * v, 0) / dim;
      return (value / Math.sqrt(mean + 1e-5)) * weight[i % dim]!;
    });
    const size = Math.max(1, ...expected.map(Math.abs));
    everywhere(lab, spaceFor(x.length, dim, x.length), () => {
      const [px, pw, out] = [lab.put(x), lab.put(weight), lab.room(x.length)];
      lab.kernels.rmsnorm(out, px, pw, positions, dim, 1e-5);
      expect(maxError(lab.floats(out, x.length), expected)).toBeLessThan(1e-6 * size);
    });
  });

  it("rmsnorm works in place", () => {
    lab.place(65_536);
    const x = randomFloats(40, 1);
    const weight = randomFloats(20, 2);
    const [a, b, pw, out] = [lab.put(x), lab.put(x), lab.put(weight), lab.room(40)];
    lab.kernels.rmsnorm(out, a, pw, 2, 20, 1e-5);
    lab.kernels.rmsnorm(b, b, pw, 2, 20, 1e-5);
    expect(lab.floats(b, 40)).toEqual(lab.floats(out, 40));
  });

  const headSizes = [2, 4, 6, 8, 10, 14, 16, 32, 64, 80, 98, 128, 250, 256];
  it.each(headSizes)(
    "rope of head size %i rotates interleaved pairs and leaves the rest alone",
    (headDim) => {
      const [positions, heads] = [3, 2];
      for (const ropeDim of new Set([2, headDim - (headDim % 4) || 2, headDim])) {
        const x = randomFloats(positions * heads * headDim, headDim);
        const angles = randomFloats((positions * ropeDim) / 2, ropeDim, 3);
        const table = Float32Array.from([...angles].flatMap((a) => [Math.cos(a), Math.sin(a)]));
        const expected = Array.from(x);
        for (let t = 0; t < positions; t++) {
          for (let head = 0; head < heads; head++) {
            for (let pair = 0; pair < ropeDim / 2; pair++) {
              const at = (t * heads + head) * headDim + 2 * pair;
              const [cos, sin] = [table[t * ropeDim + 2 * pair]!, table[t * ropeDim + 2 * pair + 1]!];
              expected[at] = x[at]! * cos - x[at + 1]! * sin;
              expected[at + 1] = x[at + 1]! * cos + x[at]! * sin;
            }
          }
        }
        everywhere(lab, spaceFor(table.length, x.length), () => {
          const [pt, px] = [lab.put(table), lab.put(x)];
          lab.kernels.rope(px, pt, positions, heads, headDim, ropeDim);
          expect(maxError(lab.floats(px, x.length), expected)).toBeLessThan(1e-6);
        });
      }
    },
  );

  it.each(oddSizes)("softmax of %i values agrees with float64 to 2e-7 and sums to one", (count) => {
    const x = randomFloats(count, count, 8);
    const highest = Math.max(...x);
    const e = Array.from(x, (value) => Math.exp(value - highest));
    const sum = e.reduce((a, b) => a + b, 0);
    everywhere(lab, spaceFor(count), () => {
      const px = lab.put(x);
      lab.kernels.softmax(px, count);
      const found = lab.floats(px, count);
      expect(
        maxError(
          found,
          e.map((value) => value / sum),
        ),
      ).toBeLessThan(2e-7);
      expect(Math.abs(found.reduce((a, b) => a + b, 0) - 1)).toBeLessThan(1e-6);
    });
  });

  it("softmax is right for values far apart and for equal ones", () => {
    lab.place(65_536);
    const px = lab.put(Float32Array.of(-3e38, 3e38, -1e30, 3e38, 0));
    lab.kernels.softmax(px, 5);
    expect([...lab.floats(px, 5)]).toEqual([
      expect.closeTo(0, 30),
      0.5,
      expect.closeTo(0, 30),
      0.5,
      expect.closeTo(0, 30),
    ]);
  });

  it("exp, seen through softmax, has a relative error below 1e-7 on [-80, 0]", () => {
    // of [0, x, x, x] the first is 1 / (1 + 3 e^x): the ratio of second and first is e^x but for two roundings
    let worst = 0;
    for (let i = 0; i < 20_000; i++) {
      const x = Math.fround(-80 * (i / 20_000));
      lab.place(65_536);
      const px = lab.put(Float32Array.of(0, x, x, x));
      lab.kernels.softmax(px, 4);
      const [first, second] = lab.floats(px, 4) as unknown as [number, number];
      worst = Math.max(worst, Math.abs(second / first / Math.exp(x) - 1));
    }
    expect(worst).toBeLessThan(1e-7 + 2 * 2 ** -24);
  });

  it.each(oddSizes)("silu_mul of %i values agrees with float64 to 3e-7 relative", (count) => {
    const gate = randomFloats(count, count, 6);
    const up = randomFloats(count, count + 1);
    if (count > 5) gate.set([0, -0, -200, 200, 1e37], 0);
    everywhere(lab, spaceFor(count, count, count), () => {
      const [pg, pu, out] = [lab.put(gate), lab.put(up), lab.room(count)];
      lab.kernels.silu_mul(out, pg, pu, count);
      lab.floats(out, count).forEach((found, i) => {
        const [g, u] = [gate[i]!, up[i]!];
        const expected = (g / (1 + Math.exp(-g))) * u;
        expect(Math.abs(found - expected)).toBeLessThanOrEqual(3e-7 * Math.abs(expected) + 1e-33);
      });
    });
  });

  it.each(oddSizes)("add of %i values is exact", (count) => {
    const [a, b] = [randomFloats(count, 1), randomFloats(count, 2)];
    everywhere(lab, spaceFor(count, count), () => {
      const [pb, pa] = [lab.put(b), lab.put(a)];
      lab.kernels.add(pa, pb, count);
      expect(lab.floats(pa, count)).toEqual(a.map((value, i) => value + b[i]!));
    });
  });

  it.each(["rmsnorm", "softmax", "silu_mul", "add"] as const)("a NaN in reaches the output of %s", (name) => {
    for (const at of [0, 3, 4, 8]) {
      const x = randomFloats(9, 1);
      x[at] = Number.NaN;
      lab.place(65_536);
      const [px, other, out] = [lab.put(x), lab.put(randomFloats(9, 2)), lab.room(9)];
      if (name === "rmsnorm") lab.kernels.rmsnorm(out, px, other, 1, 9, 1e-5);
      if (name === "softmax") lab.kernels.softmax(px, 9);
      if (name === "silu_mul") lab.kernels.silu_mul(out, px, other, 9);
      if (name === "add") lab.kernels.add(other, px, 9);
      const result = name === "softmax" ? px : name === "add" ? other : out;
      expect(lab.floats(result, 9)[at]).toBeNaN();
    }
  });
});

it("the builds give the same bits", () => {
  const x = randomFloats(1023, 5, 6);
  const results = labs.map((lab) => {
    lab.place(65_536);
    const [a, b, w] = [lab.put(x), lab.room(1023), lab.put(randomFloats(1023, 6))];
    lab.kernels.rmsnorm(b, a, w, 1, 1023, 1e-6);
    lab.kernels.silu_mul(b, b, a, 1023);
    lab.kernels.softmax(b, 1023);
    return lab.bytes(b, 1023 * 4);
  });
  for (const result of results) expect(result).toEqual(results[0]);
});

it("the debug build's assertions name the place", () => {
  const debug = labs.find((lab) => lab.name === "debug")!;
  expect(() => debug.kernels.rope(65_536, 65_536, 1, 1, 7, 6)).toThrow(/rope\.ts:\d+/);
});
