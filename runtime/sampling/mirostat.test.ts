import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { allIds, distinctLogits } from "../../test/logits.js";
import { distribution } from "../../test/sampling-twins.js";
import { nextMu, surprisingAtMost } from "./mirostat.js";

describe("mirostat", () => {
  it("keeps tokens that surprise by at most mu bits, or the likeliest", () => {
    fc.assert(
      fc.property(distinctLogits(), fc.double({ min: -1, max: 20, noNaN: true }), (logits, mu) => {
        const tokens = distribution(logits);
        const expected = tokens.filter(({ p }, i) => i === 0 || -Math.log2(p) <= mu).map(({ id }) => id);
        const probabilities = new Float64Array(logits.length);
        for (const { id, p } of tokens) probabilities[id] = p;
        const found = [...surprisingAtMost(allIds(logits), probabilities, mu)];
        expect(found).toEqual(expected.sort((a, b) => a - b));
      }),
    );
  });

  it("lowers mu after a surprise above the target, and raises it after one below", () => {
    expect(nextMu(10, 1 / 128, { tau: 5, eta: 0.1 })).toBeCloseTo(9.8, 12);
    expect(nextMu(10, 1 / 2, { tau: 5, eta: 0.1 })).toBeCloseTo(10.4, 12);
  });
});
