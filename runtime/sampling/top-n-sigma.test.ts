import fc from "fast-check";
import { expect, it } from "vitest";
import { allIds, distinctLogits } from "../../test/logits.js";
import { distribution, twins } from "../../test/sampling-twins.js";
import { topNSigma } from "./top-n-sigma.js";

it("topNSigma() keeps logits at most n standard deviations below the largest, in their order", () => {
  fc.assert(
    fc.property(distinctLogits(), fc.double({ min: 0.01, max: 5, noNaN: true }), (logits, n) => {
      const expected = twins.topNSigma(distribution(logits), n).map(({ id }) => id);
      expect([...topNSigma(logits, allIds(logits), n)]).toEqual(expected.sort((a, b) => a - b));
    }),
  );
});

it("topNSigma() does not count banned tokens", () => {
  // of 0, 1, 2, 3: sigma = sqrt(5)/2 = 1.118
  const logits = Float32Array.of(0, -Infinity, 1, 2, 3, -Infinity);
  expect([...topNSigma(logits, allIds(logits), 1)]).toEqual([3, 4]);
});
