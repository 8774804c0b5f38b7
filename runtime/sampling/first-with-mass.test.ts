import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { allIds, arbitraryLogits, idsByFullSort } from "../../test/logits.js";
import { createMassScratch, firstWithMass } from "./first-with-mass.js";

/** With a mass of 1 for each, unless given: the first `least` ones. */
function first(
  values: Float32Array,
  least: number,
  {
    ids = allIds(values),
    masses = new Float64Array(values.length).fill(1),
    scratch = createMassScratch(values.length),
  } = {},
): number[] {
  return [...firstWithMass(values, ids, masses, least, scratch)];
}

const sorted = (ids: number[]) => ids.sort((a, b) => a - b);

describe("firstWithMass()", () => {
  it("takes equal values by id, and -0 for 0, and infinities at the ends", () => {
    expect(first(Float32Array.of(-0, 1, 0, -0, 1), 4)).toEqual([1, 4, 0, 2]);
    const values = Float32Array.of(-Infinity, 3e38, -3e38, Infinity);
    expect([1, 2, 3, 4].map((least) => first(values, least).at(-1))).toEqual([3, 1, 2, 0]);
  });

  it("takes at least one, and all where the mass is not reached", () => {
    expect(first(Float32Array.of(1, 3, 2), 0)).toEqual([1]);
    expect(sorted(first(Float32Array.of(1, 3, 2), 3.5))).toEqual([0, 1, 2]);
  });

  it("takes from the candidates only", () => {
    expect(sorted(first(Float32Array.of(9, 1, 8, 2, 7), 2, { ids: Uint32Array.of(1, 2, 3) }))).toEqual([
      2, 3,
    ]);
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
    for (let least = 1; least <= 9; least++) {
      expect(first(Float32Array.from(ascending), least).at(-1)).toBe(9 - least);
    }
  });

  it("agrees with a full sort by comparison, whatever its scratch held before", () => {
    const anyMass = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 60, maxLength: 60 });
    fc.assert(
      fc.property(arbitraryLogits(), anyMass, fc.integer({ min: 1, max: 300 }), (values, list, least) => {
        const masses = Float64Array.from(values, (_, id) => list[id]!); // integers: their sums are exact in any order
        let sum = 0;
        const expected = idsByFullSort(values).filter((id) => {
          const isWanted = sum < least;
          sum += masses[id]!;
          return isWanted;
        });
        const scratch = createMassScratch(values.length);
        first(values.toReversed(), 3, { scratch });
        expect(sorted(first(values, least, { masses, scratch }))).toEqual(sorted(expected));
      }),
    );
  });
});
