import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { arbitraryLogits, idsByFullSort } from "../../test/logits.js";
import { NumericError } from "../errors.js";
import { topK } from "./top-k.js";

describe("topK()", () => {
  it("keeps the k largest, best first", () => {
    expect([...topK(Float32Array.of(0.5, 3, -1, 2, 7), 3, new Uint32Array(3))]).toEqual([4, 1, 3]);
  });

  it("ranks equal logits by id", () => {
    expect([...topK(Float32Array.of(1, 5, 1, 5, 1), 4, new Uint32Array(4))]).toEqual([1, 3, 0, 2]);
  });

  it("keeps everything where k is the number of logits or more", () => {
    const logits = Float32Array.of(2, 3, 1);
    for (const k of [3, 4, 1e15]) expect([...topK(logits, k, new Uint32Array(9))]).toEqual([1, 0, 2]);
  });

  it("keeps exactly k, and those that a full sort puts first", () => {
    fc.assert(
      fc.property(arbitraryLogits(), fc.integer({ min: 1, max: 70 }), (logits, k) => {
        expect([...topK(logits, k, new Uint32Array(logits.length))]).toEqual(
          idsByFullSort(logits).slice(0, k),
        );
      }),
    );
  });

  it("does not mind what its scratch held before", () => {
    const logits = Float32Array.of(1, 2, 3, 4, 5);
    expect([...topK(logits, 2, new Uint32Array(5).fill(0xffffffff))]).toEqual([4, 3]);
  });

  it.each([Number.NaN, Infinity, -Infinity])("refuses %d among the first k and after them", (bad) => {
    for (const id of [0, 1, 2, 5]) {
      const logits = new Float32Array(6);
      logits[id] = bad;
      const attempt = () => topK(logits, 2, new Uint32Array(2));
      expect(attempt).toThrow(NumericError);
      expect(attempt).toThrow(`found ${bad} for token ${id}`);
    }
  });
});
