import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { allIds, arbitraryLogits, idsByFullSort } from "../../test/logits.js";
import { topK } from "./top-k.js";

describe("topK()", () => {
  it("gives the ids of the k largest logits, best first", () => {
    const logits = Float32Array.of(0.5, 3, -1, 2, -1e30, 7);
    expect([...topK(logits, allIds(logits), 3)]).toEqual([5, 1, 3]);
    expect([...topK(logits, allIds(logits), 1)]).toEqual([5]);
  });

  it("gives all when k is larger than their number, and only candidates", () => {
    const logits = Float32Array.of(1, 2, 9);
    expect([...topK(logits, allIds(logits), 9)]).toEqual([2, 1, 0]);
    expect([...topK(logits, Uint32Array.of(0, 1), 9)]).toEqual([1, 0]);
  });

  it("ranks equal logits by id, in whatever order the candidates come", () => {
    const logits = Float32Array.of(4, 1, 4, 0, 4, 4);
    expect([...topK(logits, allIds(logits), 3)]).toEqual([0, 2, 4]);
    expect([...topK(logits, allIds(logits).reverse(), 3)]).toEqual([0, 2, 4]);
  });

  it("agrees with a full sort", () => {
    fc.assert(
      fc.property(arbitraryLogits(), fc.integer({ min: 1, max: 70 }), (logits, k) => {
        expect([...topK(logits, allIds(logits), k)]).toEqual(idsByFullSort(logits).slice(0, k));
      }),
    );
  });
});
