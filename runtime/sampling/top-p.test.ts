import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { allIds, distinctLogits } from "../../test/logits.js";
import { distribution, twins } from "../../test/sampling-twins.js";
import { createMassScratch } from "./first-with-mass.js";
import { topP } from "./top-p.js";

const nucleus = (logits: Float32Array, p: number, ids = allIds(logits)) =>
  [
    ...topP(logits, ids, p, {
      probabilities: new Float64Array(logits.length),
      ...createMassScratch(logits.length),
    }),
  ].sort((a, b) => logits[b]! - logits[a]! || a - b);

describe("topP()", () => {
  it("keeps the fewest of the likeliest that have the probability together", () => {
    fc.assert(
      fc.property(distinctLogits(), fc.double({ min: 0.001, max: 0.999, noNaN: true }), (logits, p) => {
        expect(nucleus(logits, p)).toEqual(twins.topP(distribution(logits), p).map(({ id }) => id));
      }),
    );
  });

  it("keeps at least one, and may keep all", () => {
    expect(nucleus(Float32Array.of(1, 2, 1), 0)).toEqual([1]);
    expect(nucleus(Float32Array.of(1, 2, 1), 1)).toEqual([1, 0, 2]);
  });

  it("counts probabilities among the candidates", () => {
    const logits = Float32Array.of(50, 1, 2, 3);
    expect(nucleus(logits, 0.6, Uint32Array.of(1, 2, 3))).toEqual([3]); // it has 0.665 of the three
  });
});
