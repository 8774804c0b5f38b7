// What a large model takes and does: memory beside the plan, load and decode speed, and a hash of its logits. In a process of its own, since the system
// tells a process's highest memory only.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { describeMachine, thisMachine } from "../cli/machine.js";
import { type CacheType, estimate, load, type Model } from "../runtime/index.js";

const help = `usage: node dist/bench/large.js MODEL.gguf [options]

  --context N      positions of the cache. Default: the model's, 4096 at most
  --cache TYPE     f32, f16 or q8_0. Default f16
  --memory BYTES   memoryLimit
  --stream         weights: "stream"
  --threads N      default 2
  --ids N          teacher-forced ids whose logits are computed, in one prompt. Default 64
  --fill           runs a prompt that fills the context first, so that all of the cache is in use
  --decode N       passes after the prompt that are timed. Default 8
  --logits FILE    writes the logits of the ids, f32[ids, vocabSize]
  --warm           reads the file with cat before, so that the page cache has it, and times that
  --help

Prints the plan, seconds of loading, tokens per second, the process's highest memory less what it was before the load, and the SHA-256
of the logits; as its last line the same as JSON.
`;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    context: { type: "string" },
    cache: { type: "string" },
    memory: { type: "string" },
    stream: { type: "boolean", default: false },
    threads: { type: "string", default: "2" },
    ids: { type: "string", default: "64" },
    fill: { type: "boolean", default: false },
    decode: { type: "string", default: "8" },
    logits: { type: "string" },
    warm: { type: "boolean", default: false },
    help: { type: "boolean" },
  },
});
if (options.help) process.stdout.write(help);
else await main();

async function main(): Promise<void> {
  const [path, ...more] = positionals;
  if (!path || more.length)
    throw new TypeError(`expected one model, found ${positionals.length}; see --help`);
  const loading = {
    contextLength: options.context === undefined ? undefined : Number(options.context),
    cacheType: options.cache as CacheType | undefined, // which load() checks
    memoryLimit: options.memory === undefined ? undefined : Number(options.memory),
    weights: options.stream ? "stream" : "resident",
    threads: Number(options.threads),
  } as const;
  const machine = thisMachine();
  const readSeconds = options.warm ? secondsToRead(path) : undefined;
  const plan = await estimate(path, { ...loading, speed: false });

  const bytesBefore = process.memoryUsage.rss();
  const began = performance.now();
  const model = await load(path, loading);
  const loadSeconds = (performance.now() - began) / 1000;
  const loadedBytes = peak() - bytesBefore;

  if (options.fill) for await (const _ of model.logits(ids(model, model.contextLength)));
  const { hash, seconds: promptSeconds } = await logitsHash(model);
  const { timings } = await model.generate(ids(model, 2), {
    maxTokens: Number(options.decode) + 1,
    temperature: 0,
  });
  const peakBytes = peak() - bytesBefore;
  await model.dispose();

  const figures = {
    contextLength: plan.contextLength,
    cacheType: plan.cacheType,
    planBytes: plan.totalBytes,
    stages: plan.stages.map(({ bytes }) => bytes),
    streamedLayers: plan.stages.reduce((sum, { streamedLayers }) => sum + streamedLayers, 0),
    loadedBytes,
    peakBytes,
    bytesBefore,
    readSeconds,
    loadSeconds,
    promptSeconds,
    decodeTokensPerSecond: timings.decodeTokensPerSecond,
    hash,
  };
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`;
  console.log(
    `${basename(path)}, ${model.build} build, ${model.threads} threads; ${describeMachine(machine)}`,
  );
  console.log(
    `plan ${gigabytes(plan.totalBytes)} in ${plan.stages.length} stages, ${figures.streamedLayers} layers streamed; memory ${gigabytes(peakBytes)} above ${gigabytes(bytesBefore)}, ${(peakBytes / plan.totalBytes).toFixed(3)} of the plan`,
  );
  console.log(
    `loaded in ${loadSeconds.toFixed(1)} s${readSeconds ? `, cat reads the file in ${readSeconds.toFixed(1)} s` : ""}; ${options.ids} ids in ${promptSeconds.toFixed(1)} s; ${timings.decodeTokensPerSecond.toPrecision(3)} tokens/s`,
  );
  console.log(JSON.stringify({ bench: "large", model: basename(path), machine, ...figures }));
}

/** The process's highest memory so far, in bytes. */
function peak(): number {
  return process.resourceUsage().maxRSS * 1024;
}

/** Ids all over the vocabulary. */
function ids({ config }: Pick<Model, "config">, count: number): number[] {
  return Array.from({ length: count }, (_, i) => (i === 0 ? 1 : (7919 * i + 104_729) % config.vocabSize));
}

async function logitsHash(model: Model): Promise<{ readonly hash: string; readonly seconds: number }> {
  const hash = createHash("sha256");
  const rows: Uint8Array[] = [];
  const began = performance.now();
  for await (const logits of model.logits(ids(model, Number(options.ids)), { from: 0 })) {
    const bytes = new Uint8Array(logits.buffer, logits.byteOffset, logits.byteLength);
    hash.update(bytes);
    if (options.logits !== undefined) rows.push(bytes.slice());
  }
  const seconds = (performance.now() - began) / 1000;
  if (options.logits !== undefined) writeFileSync(options.logits, Buffer.concat(rows));
  return { hash: hash.digest("hex"), seconds };
}

/** Into the page cache, then once more by the clock. */
function secondsToRead(path: string): number {
  let seconds = 0;
  for (let round = 0; round < 2; round++) {
    const began = performance.now();
    const { status } = spawnSync("cat", [path], { stdio: ["ignore", "ignore", "inherit"] });
    if (status !== 0) throw new Error(`expected cat to read ${path}, found status ${status}`);
    seconds = (performance.now() - began) / 1000;
  }
  return seconds;
}
