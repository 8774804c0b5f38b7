import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { arbitraryLogits, idsByFullSort } from "../../test/logits.js";
import { NumericError } from "../errors.js";
import { orderByLogit } from "./order.js";

function scratch(length: number) {
  return { ids: new Uint32Array(length), otherIds: new Uint32Array(length), keys: new Uint32Array(length) };
}

describe("orderByLogit()", () => {
  it("ranks every id, best first", () => {
    const logits = Float32Array.of(0.5, 3, -1, 2, -1e30, 7);
    expect([...orderByLogit(logits, scratch(6))]).toEqual([5, 1, 3, 0, 2, 4]);
  });

  it("ranks equal logits by id, and -0 with 0", () => {
    expect([...orderByLogit(Float32Array.of(-0, 1, 0, -0, 1), scratch(5))]).toEqual([1, 4, 0, 2, 3]);
  });

  it("tells neighbouring floats apart at every magnitude", () => {
    const ascending = [
      -3.4028234663852886e38,
      -1,
      -(1 - 2 ** -24),
      -1.4e-45,
      0,
      1.4e-45,
      1 - 2 ** -24,
      1,
      1 + 2 ** -23,
    ];
    expect([...orderByLogit(Float32Array.from(ascending), scratch(9))]).toEqual([8, 7, 6, 5, 4, 3, 2, 1, 0]);
  });

  it("agrees with a full sort by comparison, whatever its scratch held before", () => {
    fc.assert(
      fc.property(arbitraryLogits(), (logits) => {
        const used = scratch(logits.length);
        orderByLogit(logits.toReversed(), used);
        expect([...orderByLogit(logits, used)]).toEqual(idsByFullSort(logits));
      }),
    );
  });

  it.each([Number.NaN, Infinity, -Infinity])("refuses %d, naming the token", (bad) => {
    const attempt = () => orderByLogit(Float32Array.of(1, 2, bad), scratch(3));
    expect(attempt).toThrow(NumericError);
    expect(attempt).toThrow(`found ${bad} for token 2`);
  });
});
