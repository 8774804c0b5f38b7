import fc from "fast-check";
import { expect, it } from "vitest";
import { allIds, arbitraryLogits } from "../../test/logits.js";
import { distribution } from "../../test/sampling-twins.js";
import { softmax } from "./softmax.js";

it("softmax() gives probabilities at a temperature, within 1e-14 of the formula", () => {
  fc.assert(
    fc.property(arbitraryLogits(), fc.constantFrom(0.01, 0.7, 1, 3, 1e300), (logits, temperature) => {
      const found = softmax(logits, allIds(logits), temperature, new Float64Array(logits.length));
      for (const { id, p } of distribution(logits, temperature))
        expect(Math.abs(found[id]! - p)).toBeLessThan(1e-14);
    }),
  );
});

it("softmax() gives banned tokens nothing, and leaves alone what is no candidate", () => {
  const out = Float64Array.of(7, 7, 7, 7);
  softmax(Float32Array.of(1, 1, 1, -Infinity), Uint32Array.of(3, 0, 2), 1, out);
  expect([...out]).toEqual([0.5, 7, 0.5, 0]);
});

it("softmax() at a tiny temperature leaves the likeliest only", () => {
  const out = softmax(
    Float32Array.of(1, 3, 2),
    Uint32Array.of(0, 1, 2),
    Number.MIN_VALUE,
    new Float64Array(3),
  );
  expect([...out]).toEqual([0, 1, 0]);
});
