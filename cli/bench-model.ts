// A model's speed as a report: which tests, on how many threads, and what they read. Nothing here needs Node: the page measures by it too.

import type { CacheType, Inspection, Model } from "../runtime/index.js";
import {
  meanAndDeviation,
  promptTest,
  type Run,
  type SpeedTest,
  warmUp,
  writingTest,
} from "./speed-tests.js";

export interface BenchOptions {
  /** Tokens of the prompt, and to write; 0 leaves the test out. Default: 512 and 128, or what the context holds. */
  readonly prompt?: number | undefined;
  readonly passes?: number | undefined;
  /** Tokens before those that are written. */
  readonly depth: number;
  readonly repetitions: number;
  /** One load after the other; undefined is the model's default. */
  readonly threadCounts: readonly (number | undefined)[];
  readonly signal?: AbortSignal | undefined;
  /** Loads the model with room for the longest test; it is disposed of here. */
  open(loading: { readonly contextLength: number; readonly threads: number | undefined }): Promise<Model>;
  readonly onProgress?: ((text: string) => void) | undefined;
}

export interface TestResult {
  /** In llama-bench's spelling: pp512, tg128, tg128 @ d2048. */
  readonly test: string;
  readonly threads: number;
  /** Mean of the repetitions, and standard deviation of the sample. */
  readonly tokensPerSecond: number;
  readonly stddev: number;
  /** 10^9 bytes that the test has to read at least, by its time. */
  readonly gigabytesPerSecond: number;
  /** Tokens per second of each repetition. */
  readonly samples: readonly number[];
}

export interface ModelReport extends Pick<Model, "build" | "layout" | "cacheType"> {
  /** Of the file. */
  readonly bytes: number;
  readonly parameters: number;
  readonly results: readonly TestResult[];
}

/** Measures a model whose file says what `inspection` tells. Rejects with what loading and generating reject with. */
export async function benchModel(inspection: Inspection, options: BenchOptions): Promise<ModelReport> {
  const { depth, signal } = options;
  const lengths = lengthsFor(inspection, options);
  const tests = [
    ...(lengths.prompt ? [promptTest(lengths.prompt)] : []),
    ...(lengths.passes ? [writingTest(lengths.passes, depth)] : []),
  ];
  const results: TestResult[] = [];
  let facts!: Pick<Model, "build" | "layout" | "cacheType">;
  for (const threads of options.threadCounts) {
    const model = await options.open({ contextLength: lengths.context, threads });
    facts = { build: model.build, layout: model.layout, cacheType: model.cacheType };
    try {
      await warmUp(model, lengths, signal);
      const reads = bytesRead(inspection, model);
      for (const test of tests) results.push(await measure(test, model, reads, options));
    } finally {
      await model.dispose();
    }
  }
  const { bytes, parameters } = inspection;
  return { ...facts, bytes, parameters, results };
}

interface Lengths {
  readonly prompt: number;
  readonly passes: number;
  /** Positions that the longest test needs. */
  readonly context: number;
}

/** What was not asked for is llama-bench's, as far as the context holds it. Too much of what was asked for is refused by load(). */
function lengthsFor(
  { config }: Inspection,
  asked: Pick<BenchOptions, "prompt" | "passes" | "depth">,
): Lengths {
  const longest = config?.contextLength ?? Number.POSITIVE_INFINITY; // of a file that does not run load() says why
  const before = Math.max(asked.depth, 1);
  const prompt = asked.prompt ?? Math.min(512, longest);
  const passes = asked.passes ?? Math.max(1, Math.min(128, longest - before));
  return { prompt, passes, context: Math.max(prompt, passes && before + passes) };
}

/** Bytes that one pass reads of the weights, and for each position of the cache. */
interface Reads {
  readonly weights: number;
  readonly position: number;
}

function bytesRead({ tensors }: Inspection, { config, cacheType }: Model): Reads {
  const untied = tensors.some(({ name }) => name === "output.weight");
  const weights = tensors
    .filter(({ name }) => !(untied && name === "token_embd.weight"))
    .reduce((sum, tensor) => sum + tensor.bytes, 0);
  return { weights, position: 2 * config.nLayers * config.kvDim * cacheBytes[cacheType] };
}

/** Of one number; q8_0 has a scale in f32 for every 32. */
const cacheBytes: Readonly<Record<CacheType, number>> = { f32: 4, f16: 2, q8_0: 36 / 32 };

async function measure(
  test: SpeedTest,
  model: Model,
  reads: Reads,
  { repetitions, signal, onProgress }: BenchOptions,
): Promise<TestResult> {
  const runs: Run[] = [];
  while (runs.length < repetitions) {
    onProgress?.(`${test.name}, ${model.threads} threads: ${runs.length} of ${repetitions}`);
    runs.push(await test.time(model, runs.length, signal));
  }
  const rates = (amount: (run: Run) => number) => runs.map((run) => amount(run) / run.seconds);
  const samples = rates(() => test.tokens);
  const bytes = rates((run) => run.weightReads * reads.weights + run.cacheReads * reads.position);
  const { mean, deviation } = meanAndDeviation(samples);
  return {
    test: test.name,
    threads: model.threads,
    tokensPerSecond: mean,
    stddev: deviation,
    gigabytesPerSecond: meanAndDeviation(bytes).mean / 1e9,
    samples,
  };
}
