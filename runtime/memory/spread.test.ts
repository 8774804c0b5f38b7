import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { spread } from "./spread.js";

/** The size of parts that lie side by side after something of a fixed size. */
function sizeOf(parts: readonly number[], fixed = 0): (begin: number, end: number) => number {
  return (begin, end) => fixed + parts.slice(begin, end).reduce((sum, part) => sum + part, 0);
}

/** Sizes of the runs that end there. */
function runs(parts: readonly number[], ends: readonly number[]): number[] {
  return ends.map((end, i) => sizeOf(parts)(ends[i - 1] ?? 0, end));
}

/** The smallest that the largest of so many runs can be, by trying every cut. */
function bestLargest(parts: readonly number[], count: number): number {
  if (count === 1) return sizeOf(parts)(0, parts.length);
  let best = Number.POSITIVE_INFINITY;
  for (let end = 1; end <= parts.length - count + 1; end++) {
    const first = sizeOf(parts)(0, end);
    best = Math.min(best, Math.max(first, bestLargest(parts.slice(end), count - 1)));
  }
  return best;
}

/** The fewest runs within a limit, by trying every cut. */
function fewestRuns(parts: readonly number[], limit: number): number {
  if (parts.length === 0) return 0;
  let fewest = Number.POSITIVE_INFINITY;
  for (let end = 1; end <= parts.length && sizeOf(parts)(0, end) <= limit; end++) {
    fewest = Math.min(fewest, 1 + fewestRuns(parts.slice(end), limit));
  }
  return fewest;
}

describe("spread()", () => {
  it.each([
    ["one run where all fits", [3, 4, 5], 12, [3]],
    ["equal runs, not full ones and a rest", [1, 1, 1, 1, 1, 1, 1], 3, [3, 5, 7]],
    ["a large part has a run of its own", [1, 1, 9, 1, 1], 9, [2, 3, 5]],
    ["parts of no size", [0, 0, 0], 1, [3]],
  ])("%s", (_, parts, limit, ends) => {
    expect(spread(parts.length, sizeOf(parts), limit)).toEqual(ends);
  });

  it("counts what every run takes besides its parts", () => {
    expect(spread(4, sizeOf([2, 2, 2, 2], 10), 14)).toEqual([2, 4]);
  });

  it("refuses a part above the limit", () => {
    expect(() => spread(2, sizeOf([3, 8]), 7)).toThrow(RangeError);
  });

  it("makes the fewest runs, within the limit, the largest as small as any cut has it", () => {
    const cases = fc
      .array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 9 })
      .chain((parts) => fc.tuple(fc.constant(parts), fc.integer({ min: Math.max(...parts), max: 400 })));
    fc.assert(
      fc.property(cases, ([parts, limit]) => {
        const ends = spread(parts.length, sizeOf(parts), limit);
        const sizes = runs(parts, ends);
        expect(ends.at(-1)).toBe(parts.length);
        expect(Math.max(...sizes)).toBeLessThanOrEqual(limit);
        expect(ends.length).toBe(fewestRuns(parts, limit));
        expect(Math.max(...sizes)).toBe(bestLargest(parts, ends.length));
      }),
    );
  });

  it("of equal parts no run has two more than another", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 30 }), (count, limit) => {
        const sizes = runs(
          Array(count).fill(1),
          spread(count, (begin, end) => end - begin, limit),
        );
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
      }),
    );
  });
});
