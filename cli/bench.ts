import { basename } from "node:path";
import { type CacheType, type Inspection, inspect, type Model } from "../runtime/index.js";
import {
  integer,
  integers,
  type OptionTable,
  oneOf,
  onePositional,
  parseArguments,
  UsageError,
} from "./arguments.js";
import { describeMachine, type Machine, thisMachine } from "./machine.js";
import { loadModel, loadOptions } from "./model-options.js";
import { interruptSignal, progressLine, write } from "./output.js";
import {
  meanAndDeviation,
  promptTest,
  type Run,
  type SpeedTest,
  warmUp,
  writingTest,
} from "./speed-tests.js";
import { markdownTable } from "./table.js";

const options = {
  prompt: { type: "string", short: "p" },
  tokens: { type: "string", short: "n" },
  threads: { type: "string", short: "t" },
  repetitions: { type: "string", short: "r" },
  output: { type: "string", short: "o" },
  depth: { type: "string" },
  cache: { type: "string" },
  build: { type: "string" },
} as const satisfies OptionTable;

const help = `cria bench [MODEL] [-p N] [-n N] [-t THREADS] [-r N] [-o FORMAT] [options]

Measures how fast a model (default: the bundled one, "tiny") reads a prompt and writes. Test pp512 reads 512 tokens, up to
the first token of the answer; tg128 writes 128 tokens, one pass each. After a warm-up every test is repeated; given are
the mean of the tokens per second and its standard deviation, by the clock of a program that uses cria.

  -p, --prompt N       tokens of the prompt; 0 leaves the test out (default 512, or the model's context)
  -n, --tokens N       tokens to write; 0 leaves the test out (default 128, or what the context holds)
  -t, --threads LIST   threads to compute with, several between commas for one after the other (default: as cria run)
  -r, --repetitions N  how often each test is run (default 5)
  -o, --output FORMAT  md, csv or json (default md)
  --depth N            tokens before those that are written, which are not counted: writing deep in a context (default 0)
  --cache TYPE         how keys and values are kept: f32, f16 or q8_0
  --build BUILD        the kernels: simd or relaxed (default: the fastest that is exact here)

GB/s is what a test has to read at least, by its time: for every token that is written, all weights as the file holds them (of
an embedding that is not the classifier too, none) and the keys and values of all positions so far; for a prompt, the weights
once. JSON: model, build, layout, cacheType, bytes, parameters, machine, and results with test, threads, tokensPerSecond,
stddev, gigabytesPerSecond, and samples, the tokens per second of each repetition.
`;

export const benchCommand = { doing: "bench", summary: "measure how fast a model is", help, execute };

interface Result {
  readonly test: string;
  readonly threads: number;
  readonly tokensPerSecond: number;
  readonly stddev: number;
  readonly gigabytesPerSecond: number;
  /** Tokens per second of each repetition. */
  readonly samples: readonly number[];
}

interface Report extends Pick<Model, "build" | "layout" | "cacheType"> {
  readonly model: string;
  /** Of the file. */
  readonly bytes: number;
  readonly parameters: number;
  readonly machine: Machine;
  readonly results: readonly Result[];
}

async function execute(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArguments(args, options);
  if (values.help) return write(help);
  const asked = {
    prompt: integer("-p", values.prompt, 0),
    passes: integer("-n", values.tokens, 0),
    depth: integer("--depth", values.depth, 0) ?? 0,
  };
  if (asked.prompt === 0 && asked.passes === 0)
    throw new UsageError("expected -p or -n above 0, found both 0");
  const repetitions = integer("-r", values.repetitions, 1) ?? 5;
  const { threads: threadList, ...others } = values; // a list here, where other commands take a number
  const threadCounts = integers("-t", threadList, 1) ?? [undefined];
  const format = oneOf("-o", values.output, Object.keys(formats) as Format[]) ?? "md";
  const loading = loadOptions(others);
  const path = onePositional(positionals, "model") ?? "tiny";

  const signal = interruptSignal();
  const inspection = await inspect(path);
  const lengths = lengthsFor(inspection, asked);
  const tests = [
    ...(lengths.prompt ? [promptTest(lengths.prompt)] : []),
    ...(lengths.passes ? [writingTest(lengths.passes, asked.depth)] : []),
  ];
  // before the tests: what the load is then is their own
  const machine = thisMachine();
  const results: Result[] = [];
  let facts!: Pick<Model, "build" | "layout" | "cacheType">;
  for (const threads of threadCounts) {
    const { model } = await loadModel(path, { ...loading, contextLength: lengths.context, threads, signal });
    facts = { build: model.build, layout: model.layout, cacheType: model.cacheType };
    try {
      await warmUp(model, lengths, signal);
      const reads = bytesRead(inspection, model);
      for (const test of tests) results.push(await measure(test, model, repetitions, reads, signal));
    } finally {
      await model.dispose();
    }
  }
  const { bytes, parameters } = inspection;
  await write(formats[format]({ model: basename(path), ...facts, bytes, parameters, machine, results }));
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
  asked: {
    readonly prompt?: number | undefined;
    readonly passes?: number | undefined;
    readonly depth: number;
  },
): Lengths {
  const longest = config?.contextLength ?? Number.POSITIVE_INFINITY; // of a file that does not run load() says why
  const before = Math.max(asked.depth, 1);
  const prompt = asked.prompt ?? Math.min(512, longest);
  const passes = asked.passes ?? Math.max(1, Math.min(128, longest - before));
  return { prompt, passes, context: Math.max(prompt, passes && before + passes) };
}

/** Bytes that one pass reads of the weights, and for each position of the cache. */
function bytesRead(
  { tensors }: Inspection,
  { config, cacheType }: Model,
): { readonly weights: number; readonly position: number } {
  const untied = tensors.some(({ name }) => name === "output.weight");
  const weights = tensors
    .filter(({ name }) => !(untied && name === "token_embd.weight"))
    .reduce((sum, tensor) => sum + tensor.bytes, 0);
  return { weights, position: 2 * config.nLayers * config.kvDim * cacheBytes[cacheType] };
}

/** Of one number; q8_0 has a half float for every 32. */
const cacheBytes: Readonly<Record<CacheType, number>> = { f32: 4, f16: 2, q8_0: 36 / 32 };

async function measure(
  test: SpeedTest,
  model: Model,
  repetitions: number,
  reads: { readonly weights: number; readonly position: number },
  signal: AbortSignal,
): Promise<Result> {
  const line = progressLine();
  const runs: Run[] = [];
  try {
    while (runs.length < repetitions) {
      line.show(`${test.name}, ${model.threads} threads: ${runs.length} of ${repetitions}`);
      runs.push(await test.time(model, runs.length, signal));
    }
  } finally {
    line.clear();
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

const columns = ["model", "bytes", "parameters", "build", "layout", "cache", "threads", "test"] as const;

const formats = {
  json: (report: Report) => `${JSON.stringify(report)}\n`,
  csv: (report: Report) => {
    const header = [...columns, "tokensPerSecond", "stddev", "gigabytesPerSecond"];
    const lines = report.results.map((result) => [
      ...cells(report, result),
      result.tokensPerSecond,
      result.stddev,
      result.gigabytesPerSecond,
    ]);
    return [header, ...lines].map((line) => `${line.map(quoted).join(",")}\n`).join("");
  },
  md: (report: Report) => {
    const header = [...columns, "tokens/s", "GB/s"];
    const rows = report.results.map((result) => [
      ...cells(report, result).map(String),
      `${result.tokensPerSecond.toFixed(2)} ± ${result.stddev.toFixed(2)}`,
      result.gigabytesPerSecond.toFixed(2),
    ]);
    return `${markdownTable([header, ...rows], "lrrlllrlrr")}\n${describeMachine(report.machine)}\n`;
  },
} as const;

type Format = keyof typeof formats;

/** What a line begins with, one for each of `columns`. */
function cells(
  { model, bytes, parameters, build, layout, cacheType }: Report,
  { threads, test }: Result,
): (string | number)[] {
  return [model, bytes, parameters, build, layout, cacheType, threads, test];
}

/** A field of a CSV line, after RFC 4180. */
function quoted(value: string | number): string {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
