import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { randomCheckpoint, smallConfig } from "../../test/random-model.js";
import { referenceLogits } from "../../test/reference-model.js";
import { loadLlama } from "../model/llama.js";
import { createPace } from "./pace.js";
import { negativeLogLikelihood, windowsOf } from "./perplexity.js";

describe("windowsOf()", () => {
  it("cuts 10 ids into windows of 4 that are 2 apart", () => {
    expect(windowsOf(10, 4)).toEqual([
      { begin: 0, end: 4, scoredFrom: 0 },
      { begin: 2, end: 6, scoredFrom: 4 },
      { begin: 4, end: 8, scoredFrom: 6 },
      { begin: 6, end: 10, scoredFrom: 8 },
    ]);
  });

  it("scores every id once, in order, from at least half a context, in windows that fit", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 300 }),
        fc.integer({ min: 1, max: 40 }),
        (count, contextLength) => {
          let scored = 0;
          for (const { begin, end, scoredFrom } of windowsOf(count, contextLength)) {
            expect(scoredFrom).toBe(scored);
            expect(end).toBeGreaterThan(scoredFrom);
            expect(end - begin).toBeLessThanOrEqual(contextLength);
            if (begin) expect(scoredFrom - begin).toBeGreaterThanOrEqual(Math.floor(contextLength / 2));
            scored = end;
          }
          expect(scored).toBe(count);
        },
      ),
    );
  });
});

describe("negativeLogLikelihood()", () => {
  it("agrees with float64 logits, window by window", async () => {
    const checkpoint = randomCheckpoint({ config: smallConfig(), type: "F32", seed: 6 });
    const ids = Array.from({ length: 45 }, (_, i) => (i * 17 + 5) % 48);
    let expected = 0;
    for (const { begin, end, scoredFrom } of windowsOf(ids.length, 16)) {
      const logits = await referenceLogits(checkpoint, [1, ...ids.slice(begin, end - 1)]);
      for (let i = scoredFrom; i < end; i++) {
        const row = logits[i - begin]!;
        const sum = row.reduce((total, logit) => total + Math.exp(logit), 0);
        expected += Math.log(sum) - row[ids[i]!]!;
      }
    }
    const llama = await loadLlama(checkpoint, { contextLength: 16, cacheType: "f32" });
    const told: number[] = [];
    const nats = await negativeLogLikelihood({ llama, ids: [] }, 1, ids, createPace([]), (scored) =>
      told.push(scored),
    );
    expect(Math.abs(nats - expected) / expected).toBeLessThan(1e-6);
    expect(told.at(-1)).toBe(45);
  });
});
