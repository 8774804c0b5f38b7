import { basename } from "node:path";
import { inspect } from "../runtime/index.js";
import {
  integer,
  integers,
  type OptionTable,
  oneOf,
  onePositional,
  parseArguments,
  UsageError,
} from "./arguments.js";
import { benchModel, type ModelReport, type TestResult } from "./bench-model.js";
import { describeMachine, type Machine, thisMachine } from "./machine.js";
import { loadModel, loadOptions } from "./model-options.js";
import { interruptSignal, progressLine, write } from "./output.js";
import { markdownTable } from "./table.js";

const options = {
  prompt: { type: "string", short: "p" },
  tokens: { type: "string", short: "n" },
  threads: { type: "string", short: "t" },
  repetitions: { type: "string", short: "r" },
  output: { type: "string", short: "o" },
  depth: { type: "string" },
  cache: { type: "string" },
  memory: { type: "string" },
  weights: { type: "string" },
  quantize: { type: "string" },
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
  --cache TYPE         how keys and values are kept: f32, f16 or q8_0 (default f16)
  --memory BYTES, --weights MODE, --quantize TYPE  as cria run
  --build BUILD        the kernels: simd, relaxed or relaxed16 (default: the fastest that is exact here)

GB/s is what a test has to read at least, by its time: for every token that is written, all weights as the file holds them, save
an embedding that is not the classifier as well, and the keys and values of all positions so far; for a prompt, the weights once.

JSON: model, build, layout, cacheType, bytes, parameters, machine, and results with test, threads, tokensPerSecond, stddev,
gigabytesPerSecond, and samples, the tokens per second of each repetition.
`;

export const benchCommand = { doing: "bench", summary: "measure how fast a model is", help, execute };

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

  const machine = thisMachine(); // before the tests: what the load is then is their own
  const signal = interruptSignal();
  const line = progressLine();
  const inspection = await inspect(path);
  const report = await benchModel(inspection, {
    ...asked,
    repetitions,
    threadCounts,
    signal,
    open: async (needed) => (await loadModel(path, { ...loading, ...needed, signal })).model,
    onProgress: (text) => line.show(text),
  }).finally(() => line.clear());
  await write(formats[format]({ model: basename(path), ...report, machine }));
}

interface Report extends ModelReport {
  readonly model: string;
  readonly machine: Machine;
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
  { threads, test }: TestResult,
): (string | number)[] {
  return [model, bytes, parameters, build, layout, cacheType, threads, test];
}

/** A field of a CSV line, after RFC 4180. */
function quoted(value: string | number): string {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
