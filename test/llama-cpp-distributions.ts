// What llama.cpp draws from, recorded by bench/peers/sampling.ts, and how cria's draws compare.

import type { SamplerOptions } from "../runtime/sampling/options.js";
import { createSampler } from "../runtime/sampling/sampler.js";

export interface Distribution {
  readonly name: string;
  readonly options: SamplerOptions;
  /** What has been written, and its tokens after bos. */
  readonly text: string;
  readonly tokens: readonly number[];
  /** By llama.cpp, after all its steps: pairs of an id and the probability that it is drawn with. */
  readonly probabilities: readonly (readonly [id: number, probability: number])[];
}

/**
 * Draws 100,000 times. `strangers` are drawn ids that llama.cpp would not draw. `excess` is the chi-square statistic of the draws
 * over its 0.999 quantile: if both draw from the same distribution, it is above 1 once in a thousand. Probabilities of less than 5
 * draws are put together.
 */
export function compareDraws(
  { options, tokens, probabilities }: Distribution,
  logits: readonly number[],
): { readonly excess: number; readonly strangers: readonly number[] } {
  const draws = 100_000;
  const sample = createSampler({ ...options, seed: 1 }, { vocabSize: logits.length, textOf: () => "" });
  const row = Float32Array.from(logits);
  const counts = new Map<number, number>();
  for (let i = 0; i < draws; i++) {
    const id = sample(row, tokens);
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  const expected = new Map(probabilities);
  const strangers = [...counts.keys()].filter((id) => !expected.has(id));

  const classes: { found: number; expected: number }[] = [];
  const rare = { found: 0, expected: 0 };
  for (const [id, probability] of expected) {
    const own = { found: counts.get(id) ?? 0, expected: probability * draws };
    if (own.expected >= 5) classes.push(own);
    else {
      rare.found += own.found;
      rare.expected += own.expected;
    }
  }
  if (rare.expected >= 5) classes.push(rare);
  const statistic = classes.reduce((sum, own) => sum + (own.found - own.expected) ** 2 / own.expected, 0);
  return { excess: statistic / chiSquareQuantile(classes.length - 1), strangers };
}

/** What a chi-square variable exceeds once in a thousand, by Wilson and Hilferty's approximation (1931). */
export function chiSquareQuantile(degrees: number): number {
  return degrees * (1 - 2 / (9 * degrees) + 3.09 * Math.sqrt(2 / (9 * degrees))) ** 3;
}
