import fc from "fast-check";
import { expect, it } from "vitest";
import { allIds, distinctLogits } from "../../test/logits.js";
import { distribution, twins } from "../../test/sampling-twins.js";
import { excludeTopChoices } from "./xtc.js";

const left = (logits: Float32Array, threshold: number) => [
  ...excludeTopChoices(logits, allIds(logits), threshold, new Float64Array(logits.length)),
];

it("excludeTopChoices() leaves the least likely of the tokens above the threshold, and those below", () => {
  fc.assert(
    fc.property(distinctLogits(), fc.double({ min: 0.001, max: 1, noNaN: true }), (logits, threshold) => {
      const expected = twins.xtc(distribution(logits), threshold).map(({ id }) => id);
      expect(left(logits, threshold)).toEqual(expected.sort((a, b) => a - b));
    }),
  );
});

it("excludeTopChoices() keeps the last of equal ones, and all where at most one is above", () => {
  expect(left(Float32Array.of(1, 1, -9, 1), 0.3)).toEqual([2, 3]);
  expect(left(Float32Array.of(1, 1, 1, 1), 0.3)).toEqual([0, 1, 2, 3]);
  expect(left(Float32Array.of(9, 1, 1), 0.5)).toEqual([0, 1, 2]);
});
