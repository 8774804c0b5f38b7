// What `cria bench` measures, through the public API and by the consumer's clock, so that choosing tokens and making text of them
// count. Nothing here needs Node.

import type { Model } from "../runtime/index.js";

/** One test: a prompt of some tokens that is read, or tokens that are written after some others. */
export interface SpeedTest {
  /** In llama-bench's spelling: pp512, tg128, and tg128 @ d2048 for 128 tokens after 2048. */
  readonly name: string;
  readonly tokens: number;
  /** Runs it once. Runs differ in their ids, by `run`. */
  time(model: Model, run: number, signal?: AbortSignal): Promise<Run>;
}

/** One repetition. */
export interface Run {
  readonly seconds: number;
  /** Passes in which the weights were read: one for each token that was written, one for a prompt. */
  readonly weightReads: number;
  /** Positions of the cache that were read, over all passes; a prompt's own are not counted. */
  readonly cacheReads: number;
}

/** Reading a prompt: until the first token is there. */
export function promptTest(tokens: number): SpeedTest {
  return {
    name: `pp${tokens}`,
    tokens,
    async time(model, run, signal) {
      const prompt = promptIds(model, tokens, run);
      const began = performance.now();
      await model.generate(prompt, { maxTokens: 1, temperature: 0, signal });
      return { seconds: (performance.now() - began) / 1000, weightReads: 1, cacheReads: 0 };
    },
  };
}

/** A model may end a text before a token can be counted; this often, one after the other, and it will not do. */
const MOST_EMPTY_TEXTS = 32;

/**
 * Writing greedily after `depth` tokens, or after one where that is none: from the arrival of one token to that of the next, one
 * pass each. Where a text ends early, others are written until there are as many passes.
 */
export function writingTest(tokens: number, depth: number): SpeedTest {
  return {
    name: depth ? `tg${tokens} @ d${depth}` : `tg${tokens}`,
    tokens,
    async time(model, run, signal) {
      const before = Math.max(depth, 1);
      let seconds = 0;
      let passes = 0;
      let cacheReads = 0;
      for (let text = 0, empty = 0; passes < tokens; text++) {
        const prompt = promptIds(model, before, run + 1009 * text);
        const wanted = tokens - passes;
        let first = 0;
        let last = 0;
        let parts = 0;
        for await (const _ of model.generate(prompt, { maxTokens: wanted + 1, temperature: 0, signal })) {
          last = performance.now();
          if (parts === 0) first = last;
          if (++parts > wanted) break;
        }
        const done = Math.max(0, parts - 1);
        empty = done ? 0 : empty + 1;
        if (empty === MOST_EMPTY_TEXTS) {
          throw new Error(
            `Cannot bench: expected a text of two tokens or more, found ${empty} that ended before`,
          );
        }
        seconds += (last - first) / 1000;
        passes += done;
        cacheReads += done * before + (done * (done + 1)) / 2;
      }
      return { seconds, weightReads: passes, cacheReads };
    },
  };
}

/** Ids all over the vocabulary, other ones in each run; a text's beginning first, where the vocabulary is Llama's. */
function promptIds({ config }: Model, length: number, run: number): number[] {
  const { vocabSize } = config;
  const begin = vocabSize > 1 ? 1 : 0;
  return Array.from({ length }, (_, i) => (i === 0 ? begin : (7919 * i + 104_729 * (run + 1)) % vocabSize));
}

/** Runs that warm up are no runs that count: their prompts begin otherwise, so that nothing is known of those. */
const WARM_UP_RUNS = 1_000_000;
/** Small models are through a test before V8 has compiled what it uses most; large ones need no more than some passes. */
const WARM_UP = { ms: 1000, prompt: 64, passes: 16 };

/** Runs tests like these, but short ones, until they run at their speed. */
export async function warmUp(
  model: Model,
  { prompt, passes }: { readonly prompt: number; readonly passes: number },
  signal?: AbortSignal,
): Promise<void> {
  const tests = [
    ...(prompt ? [promptTest(Math.min(prompt, WARM_UP.prompt))] : []),
    ...(passes ? [writingTest(Math.min(passes, WARM_UP.passes), 0)] : []),
  ];
  const began = performance.now();
  for (let run = WARM_UP_RUNS; run === WARM_UP_RUNS || performance.now() - began < WARM_UP.ms; run++) {
    for (const test of tests) await test.time(model, run, signal);
  }
}

/** Mean and standard deviation of a sample (divided by n - 1); the deviation of one value is 0. */
export function meanAndDeviation(values: readonly number[]): { mean: number; deviation: number } {
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
  const squares = values.reduce((sum, x) => sum + (x - mean) ** 2, 0);
  return { mean, deviation: values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : 0 };
}
