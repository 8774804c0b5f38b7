import fc from "fast-check";
import { expect, it } from "vitest";
import { arbitraryLogits } from "../../test/logits.js";
import { distribution } from "../../test/sampling-twins.js";
import { logProbabilities } from "./log-probabilities.js";

it("logProbabilities() gives the logarithms of the softmax, the likeliest first", () => {
  fc.assert(
    fc.property(arbitraryLogits(), fc.nat(59), fc.nat(70), (logits, index, count) => {
      const id = index % logits.length;
      const all = distribution(logits);
      const own = logProbabilities(logits, id, count);
      expect(own.top.map(({ token }) => token)).toEqual(all.slice(0, count).map(({ id }) => id));
      for (const { token, logprob } of [...own.top, { token: id, logprob: own.logprob }]) {
        const { p } = all.find((one) => one.id === token)!;
        if (p > 1e-300)
          expect(Math.abs(logprob - Math.log(p))).toBeLessThan(1e-12 * Math.max(1, Math.abs(logprob)));
      }
    }),
  );
});
