// End to end: how fast a model reads a prompt and writes, through the public API and by the consumer's clock. Prefill and decode
// are told apart: the first part of a text comes when the prompt is read, each further one costs one pass.

import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { builds, load, type Model } from "../runtime/index.js";
import { createRandom } from "../runtime/sampling/random.js";
import { describeMachine, thisMachine } from "./machine.js";
import { quartiles } from "./measure.js";

const help = `usage: node dist/bench/speed.js MODEL [options]

  --prompt N       ids of the prompt that prefill is measured with. Default 128
  --tokens N       tokens to write after a prompt of 8 ids, which decoding is measured with. Default 128
  --runs N         how often, after a second of runs that do not count. Default 7
  --context N      positions to reserve. Default: the model's own, at most 4096
  --build NAME     simd or relaxed. Default: the fastest that this engine runs exactly
  --help

Prints both speeds, median and quartiles, and as its last line the same as JSON.
`;

/** Ids of the prompt before the tokens that are counted. */
const SHORT_PROMPT = 8;
/** Small models are through a run before V8 has compiled what it uses most. */
const WARM_UP_MS = 1000;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    prompt: { type: "string", default: "128" },
    tokens: { type: "string", default: "128" },
    runs: { type: "string", default: "7" },
    context: { type: "string" },
    build: { type: "string" },
    help: { type: "boolean" },
  },
});
if (options.help) process.stdout.write(help);
else await main();

async function main(): Promise<void> {
  const path = positionals[0];
  if (!path || positionals.length > 1) {
    throw new TypeError(`expected one model file, found ${positionals.length}; see --help`);
  }
  const build = builds.find((name) => name === options.build);
  if (options.build !== undefined && !build) {
    throw new RangeError(`--build: expected one of ${builds.join(", ")}, found ${options.build}`);
  }
  const promptLength = count("--prompt", options.prompt);
  const maxTokens = count("--tokens", options.tokens);
  const runs = count("--runs", options.runs);
  const contextLength = options.context === undefined ? undefined : count("--context", options.context);

  const loadBegan = performance.now();
  const model = await load(path, { build, contextLength });
  const loadMs = performance.now() - loadBegan;
  const machine = thisMachine();
  console.log(
    `${basename(path)}, ${model.build} build, ${model.threads} thread; ${describeMachine(machine)}`,
  );

  const prefills: number[] = [];
  const decodes: number[] = [];
  let decoded = 0;
  const warm = performance.now() + WARM_UP_MS;
  for (let run = 0; run === 0 || performance.now() < warm; run++) {
    await timePrefill(model, promptLength, run);
    await timeDecode(model, maxTokens, run);
  }
  for (let run = 0; run < runs; run++) {
    prefills.push(promptLength / (await timePrefill(model, promptLength, run)));
    const { seconds, steps } = await timeDecode(model, maxTokens, run);
    if (steps > 0) decodes.push(steps / seconds);
    decoded += steps;
  }
  if (decodes.length === 0) {
    throw new Error("no run wrote two tokens: the model ends its texts at once");
  }

  const prefill = quartiles(prefills);
  const decode = quartiles(decodes);
  console.log(`load     ${loadMs.toFixed(0)} ms`);
  console.log(`prefill  ${line(prefill)}  (${promptLength} ids, ${runs} runs)`);
  console.log(`decode   ${line(decode)}  (${decoded} tokens, ${decodes.length} runs)`);
  console.log(
    JSON.stringify({
      bench: "speed",
      model: basename(path),
      bytes: (await stat(path)).size,
      build: model.build,
      threads: model.threads,
      machine,
      loadMs,
      prefill: { promptLength, runs, tokensPerSecond: prefill },
      decode: { tokens: decoded, runs: decodes.length, tokensPerSecond: decode },
    }),
  );
  await model.dispose();
}

function count(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) {
    throw new RangeError(`${name}: expected an integer, 1 or more, found ${text}`);
  }
  return value;
}

/** Ids by chance, other ones each time; a text's beginning first, where the vocabulary is Llama's. */
function promptIds(model: Model, length: number, seed: number): number[] {
  const random = createRandom(seed);
  const id = () => Math.floor(random() * model.config.vocabSize);
  return Array.from({ length }, (_, i) => (i === 0 ? 1 : id()));
}

/** Seconds until the first token. */
async function timePrefill(model: Model, length: number, seed: number): Promise<number> {
  const began = performance.now();
  await model.generate(promptIds(model, length, seed), { maxTokens: 1, temperature: 0 });
  return (performance.now() - began) / 1000;
}

/** From the first token's arrival to the last's: a pass, the choice of a token and its text each. */
async function timeDecode(
  model: Model,
  maxTokens: number,
  seed: number,
): Promise<{ seconds: number; steps: number }> {
  const prompt = promptIds(model, SHORT_PROMPT, seed);
  let first: number | undefined;
  let last = 0;
  let parts = 0;
  for await (const _ of model.generate(prompt, { maxTokens, temperature: 0.8, seed })) {
    last = performance.now();
    first ??= last;
    parts++;
  }
  return { seconds: (last - (first ?? last)) / 1000, steps: Math.max(0, parts - 1) };
}

function line({ median, lowerQuartile, upperQuartile }: ReturnType<typeof quartiles>): string {
  return `${median.toFixed(1)} tokens/s  (quartiles ${lowerQuartile.toFixed(1)} to ${upperQuartile.toFixed(1)})`;
}
