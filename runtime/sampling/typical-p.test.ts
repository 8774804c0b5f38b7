import fc from "fast-check";
import { expect, it } from "vitest";
import { allIds, distinctLogits } from "../../test/logits.js";
import { distribution, twins } from "../../test/sampling-twins.js";
import { createMassScratch } from "./first-with-mass.js";
import { typicalP } from "./typical-p.js";

const sorted = (ids: readonly number[]) => [...ids].sort((a, b) => a - b);

const typical = (logits: Float32Array, p: number) =>
  sorted([
    ...typicalP(logits, allIds(logits), p, {
      probabilities: new Float64Array(logits.length),
      values: new Float32Array(logits.length),
      ...createMassScratch(logits.length),
    }),
  ]);

it("typicalP() keeps the fewest of the most typical that have the probability together", () => {
  fc.assert(
    fc.property(distinctLogits(), fc.double({ min: 0.001, max: 0.999, noNaN: true }), (logits, p) => {
      expect(typical(logits, p)).toEqual(sorted(twins.typicalP(distribution(logits), p).map(({ id }) => id)));
    }),
  );
});

it("typicalP() may leave out the likeliest token, and bears banned ones", () => {
  // 0.4 and six of 0.1: the entropy is 1.748 nats, from which ln 2.5 = 0.916 is further than ln 10 = 2.303
  const logits = Float32Array.of(Math.log(0.4), ...Array(6).fill(Math.log(0.1)), -Infinity);
  expect(typical(logits, 0.35)).toEqual([1, 2, 3, 4]);
});
