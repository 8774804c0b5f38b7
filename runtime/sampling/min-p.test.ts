import fc from "fast-check";
import { expect, it } from "vitest";
import { allIds, distinctLogits } from "../../test/logits.js";
import { distribution, twins } from "../../test/sampling-twins.js";
import { minP } from "./min-p.js";

it("minP() keeps what is at least p times as probable as the likeliest, in its order", () => {
  fc.assert(
    fc.property(distinctLogits(), fc.double({ min: 1e-6, max: 1, noNaN: true }), (logits, p) => {
      const expected = twins.minP(distribution(logits), p).map(({ id }) => id);
      expect([...minP(logits, allIds(logits), p)]).toEqual(expected.sort((a, b) => a - b));
    }),
  );
});
