import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { allIds, arbitraryLogits } from "../../test/logits.js";
import { greedy, largestLogit } from "./greedy.js";

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

  it("finds what indexOf finds of the maximum, which is the largest logit", () => {
    fc.assert(
      fc.property(arbitraryLogits(), (logits) => {
        const max = Math.max(...logits);
        expect(greedy(logits)).toBe(logits.indexOf(max));
        expect(largestLogit(logits, allIds(logits)) === max).toBe(true); // -0 is 0
      }),
    );
  });

  it("never takes a banned token, and says so when all are", () => {
    expect(greedy(Float32Array.of(-Infinity, -Infinity, -3e38))).toBe(2);
    const banned = new Float32Array(3).fill(-Infinity);
    expect(() => greedy(banned)).toThrow(RangeError);
    expect(() => largestLogit(banned, allIds(banned))).toThrow("found all of them banned");
  });
});
