import { describe, expect, it } from "vitest";
import { addBias } from "./logit-bias.js";
import { penalize } from "./penalties.js";

const none = { repetition: 1, frequency: 0, presence: 0 };

describe("penalize()", () => {
  const penalized = (recent: number[], penalties: Partial<typeof none>) => {
    const logits = Float32Array.of(4, -4, 0, 1);
    penalize(logits, recent, { ...none, ...penalties });
    return [...logits];
  };

  it("divides positive and multiplies negative logits by the repetition penalty, once for each token", () => {
    expect(penalized([0, 1, 2, 1, 0, 0], { repetition: 2 })).toEqual([2, -8, 0, 1]);
  });

  it("takes the frequency penalty off for each time, the presence penalty once", () => {
    expect(penalized([0, 0, 0, 1], { frequency: 0.5 })).toEqual([2.5, -4.5, 0, 1]);
    expect(penalized([0, 0, 0, 1], { presence: 0.5 })).toEqual([3.5, -4.5, 0, 1]);
  });

  it("applies the repetition penalty first", () => {
    expect(penalized([0, 0, 1], { repetition: 2, frequency: 1, presence: 0.25 })).toEqual([
      -0.25, -9.25, 0, 1,
    ]);
  });

  it("never gives Infinity or NaN", () => {
    const logits = Float32Array.of(3e38, -3e38, -Infinity);
    penalize(logits, [0, 1, 2], { repetition: 1e-300, frequency: -1e300, presence: 0 });
    expect(logits[0]).toBe(3.4028234663852886e38);
    expect(logits.some(Number.isNaN)).toBe(false);
  });
});

describe("addBias()", () => {
  it("adds to the tokens named, bans with -Infinity, and never gives Infinity", () => {
    const logits = Float32Array.of(1, 2, 3, 3e38);
    addBias(
      logits,
      new Map([
        [0, 0.5],
        [1, -Infinity],
        [3, 1e300],
      ]),
    );
    expect([...logits]).toEqual([1.5, -Infinity, 3, 3.4028234663852886e38]);
  });
});
