import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { arbitraryLogits } from "../../test/logits.js";
import { NumericError } from "../errors.js";
import { greedy } from "./greedy.js";

describe("greedy()", () => {
  it("is the id of the largest logit", () => {
    expect(greedy(Float32Array.of(-3, 2.5, 2, -8))).toBe(1);
    expect(greedy(Float32Array.of(-1))).toBe(0);
    expect(greedy(new Float32Array(5).fill(-3.4e38))).toBe(0);
  });

  it("takes the lowest id of equal logits, and -0 for 0", () => {
    expect(greedy(Float32Array.of(1, 7, 7, 7))).toBe(1);
    expect(greedy(Float32Array.of(-0, 0))).toBe(0);
  });

  it("finds what indexOf finds of the maximum", () => {
    fc.assert(
      fc.property(arbitraryLogits(), (logits) => {
        expect(greedy(logits)).toBe(logits.indexOf(Math.max(...logits)));
      }),
    );
  });

  it.each([Number.NaN, Infinity, -Infinity])("refuses %d anywhere, naming the token", (bad) => {
    for (const id of [0, 3, 6]) {
      const logits = new Float32Array(7);
      logits[id] = bad;
      expect(() => greedy(logits)).toThrow(NumericError);
      expect(() => greedy(logits)).toThrow(
        `Cannot predict a token: expected finite logits, found ${bad} for token ${id}`,
      );
    }
  });
});
