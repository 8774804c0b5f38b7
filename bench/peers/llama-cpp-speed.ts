// llama.cpp's speed once, in a process of its own: `node llama-cpp-speed.js '{"model": ...}'` writes a line of JSON.

import { getLlama, type LlamaContextSequence, LlamaLogLevel, type Token } from "node-llama-cpp";
import { inThreads, type Job, type Measured } from "./contestants.js";

const WARM_UP = { prompt: 64, passes: 16 };

const job = JSON.parse(process.argv[2]!) as Job;
const llama = await getLlama({ gpu: false, build: "never", logLevel: LlamaLogLevel.error });
const model = await llama.loadModel({ modelPath: job.model });
const context = await model.createContext({
  contextSize: Math.max(job.prompt, job.depth + job.passes + 1, 128),
  batchSize: 512,
  threads: job.threads,
});
const sequence = context.getSequence();

await read(sequence, Math.min(job.prompt || WARM_UP.prompt, WARM_UP.prompt));
await write(sequence, WARM_UP.passes, 0);
const values: Record<string, number> = {};
if (job.prompt) values[`pp${job.prompt}`] = job.prompt / (await read(sequence, job.prompt));
if (job.passes) {
  const name = job.depth ? `tg${job.passes} @ d${job.depth}` : `tg${job.passes}`;
  values[name] = job.passes / (await write(sequence, job.passes, job.depth));
}
const measured: Measured = {
  engine: `node-llama-cpp (llama.cpp ${llama.llamaCppRelease.release}), Node ${process.versions.node}, ${inThreads(job.threads)}`,
  values,
};
console.log(JSON.stringify(measured));
process.exit(); // its threads would keep the process alive

/** Ids all over the vocabulary, as `cria bench` takes them. */
function ids(count: number): Token[] {
  return Array.from({ length: count }, (_, i) => (i === 0 ? 1 : (7919 * i + 104_729) % 32_000) as Token);
}

/** Seconds to read a prompt. */
async function read(into: LlamaContextSequence, count: number): Promise<number> {
  await into.clearHistory();
  const began = performance.now();
  await into.evaluateWithoutGeneratingNewTokens(ids(count));
  return (performance.now() - began) / 1000;
}

/** Seconds from the first token that is written to the last, one pass each, greedily, past the ends of texts. */
async function write(into: LlamaContextSequence, passes: number, depth: number): Promise<number> {
  await into.clearHistory();
  let first = 0;
  let tokens = 0;
  for await (const _ of into.evaluate(ids(Math.max(depth, 1)), { temperature: 0, yieldEogToken: true })) {
    if (tokens === 0) first = performance.now();
    if (++tokens > passes) break;
  }
  if (tokens <= passes) throw new Error(`expected ${passes + 1} tokens, found ${tokens}`);
  return (performance.now() - first) / 1000;
}
