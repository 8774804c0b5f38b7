import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { penalizeProlonging, tokensSinceBreaker } from "./dry.js";

/** What is taken off each of four logits. */
function penaltiesOf(
  recent: readonly number[],
  longest = recent.length,
  dry = { multiplier: 1, base: 2, allowedLength: 2 },
): number[] {
  const logits = new Float32Array(4);
  penalizeProlonging(logits, recent, () => longest, dry);
  return Array.from(logits, (logit) => (logit === 0 ? 0 : -logit));
}

/** The definition, place by place: quadratic. */
function penaltiesByDefinition(recent: readonly number[], longest: number): number[] {
  const penalties = [0, 0, 0, 0];
  for (let at = 1; at < recent.length; at++) {
    let length = 0;
    while (length < Math.min(at, longest) && recent[at - 1 - length] === recent[recent.length - 1 - length])
      length++;
    if (length >= 2) penalties[recent[at]!] = Math.max(penalties[recent[at]!]!, 2 ** (length - 2));
  }
  return penalties;
}

describe("penalizeProlonging()", () => {
  it("takes multiplier * base^(n - allowedLength) off the token that followed the last n before", () => {
    expect(penaltiesOf([0, 1, 2, 3, 0, 1])).toEqual([0, 0, 1, 0]);
    expect(penaltiesOf([0, 1, 2, 3, 0, 1, 2])).toEqual([0, 0, 0, 2]);
    const dry = { multiplier: 0.5, base: 3, allowedLength: 1 };
    expect(penaltiesOf([0, 1, 2, 3, 0, 1, 2], 7, dry)).toEqual([0, 0, 0, 4.5]);
  });

  it("leaves repetitions below the allowed length alone", () => {
    expect(penaltiesOf([0, 1, 2, 1])).toEqual([0, 0, 0, 0]);
  });

  it("counts no more tokens than stand after the last breaker", () => {
    expect(penaltiesOf([0, 1, 2, 3, 0, 1, 2], 2)).toEqual([0, 0, 0, 1]);
    expect(penaltiesOf([0, 1, 2, 3, 0, 1, 2], 1)).toEqual([0, 0, 0, 0]);
  });

  it("agrees with its definition on sequences of few tokens, which repeat themselves in every way", () => {
    const ids = fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 40 });
    fc.assert(
      fc.property(ids, fc.integer({ min: 0, max: 30 }), (recent, longest) => {
        expect(penaltiesOf(recent, longest)).toEqual(penaltiesByDefinition(recent, longest));
      }),
    );
  });

  it("takes linear time where everything repeats", () => {
    const began = performance.now();
    penalizeProlonging(new Float32Array(4), Array(1e6).fill(1), () => 1e6, {
      multiplier: 1,
      base: 1,
      allowedLength: 2,
    });
    expect(performance.now() - began).toBeLessThan(2000); // quadratic, it would be hours
  });
});

describe("tokensSinceBreaker()", () => {
  const texts = ["a", "b\n", "\n", " say", "ing", "", "*x*y"];
  const since = (ids: number[], breakers: string[]) => tokensSinceBreaker(ids, breakers, (id) => texts[id]!);

  it("counts the tokens after the last one that contains a breaker", () => {
    expect(since([0, 2, 0, 0], ["\n"])).toBe(2);
    expect(since([0, 1, 0, 2], ["\n"])).toBe(0);
    expect(since([1, 0, 6, 0, 5, 0], ["\n", "*"])).toBe(3);
  });

  it("finds a breaker that is spread over tokens, also over one without text", () => {
    expect(since([0, 3, 4, 0], ["saying"])).toBe(1);
    expect(since([3, 5, 4, 5, 0], ["saying"])).toBe(2);
    expect(since([2, 2, 2, 0], ["\n\n"])).toBe(1);
  });

  it("looks no further back than asked", () => {
    const most = (count: number) =>
      tokensSinceBreaker([0, 3, 4, 0, 0, 0], ["saying"], (id) => texts[id]!, count);
    expect([1, 2, 3, 4, 9].map(most)).toEqual([1, 2, 3, 3, 3]);
  });

  it("counts all where there is none", () => {
    expect(since([0, 3, 3], ["saying"])).toBe(3);
    expect(since([0, 2], [])).toBe(2);
    expect(since([], ["\n"])).toBe(0);
  });
});
