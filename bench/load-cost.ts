// What loading a model costs: time to the first token, and memory above the process's own, beside the plan. In a process of its own, since
// the system tells a process's highest memory only.

import { createReadStream } from "node:fs";
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { describeMachine, thisMachine } from "../cli/machine.js";
import { openCheckpoint } from "../runtime/formats/open.js";
import { fileSource } from "../runtime/formats/source.js";
import { load } from "../runtime/index.js";
import { planModel } from "../runtime/memory/plan.js";

const help = `usage: node dist/bench/load-cost.js MODEL [--threads N]

Reads the file once, so that the system holds it in memory, then loads it and writes one token. Prints the seconds that took, and the
process's highest memory less what it was before the load; as its last line the same as JSON. The plan is weights, cache and scratch.
`;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { threads: { type: "string" }, help: { type: "boolean" } },
});
if (options.help) process.stdout.write(help);
else await main();

async function main(): Promise<void> {
  const [path, ...more] = positionals;
  if (!path || more.length)
    throw new TypeError(`expected one model, found ${positionals.length}; see --help`);
  const threads = options.threads === undefined ? undefined : Number(options.threads);
  for await (const _ of createReadStream(path)); // into the page cache

  const machine = thisMachine();
  const bytesBefore = process.memoryUsage.rss();
  const began = performance.now();
  const model = await load(path, { threads });
  const loadMs = performance.now() - began;
  await model.generate([1], { maxTokens: 1, temperature: 0 });
  const firstTokenMs = performance.now() - began;
  const peakBytes = process.resourceUsage().maxRSS * 1024 - bytesBefore;

  const source = await fileSource(path);
  const { build, contextLength, cacheType } = model;
  const plan = planModel(await openCheckpoint(source), { contextLength, cacheType, threads: model.threads });
  await source.close();
  const planBytes = plan.totalBytes;
  console.log(`${basename(path)}, ${build} build, ${model.threads} threads; ${describeMachine(machine)}`);
  console.log(`loaded in ${Math.round(loadMs)} ms, first token after ${Math.round(firstTokenMs)} ms`);
  const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
  console.log(`memory ${megabytes(peakBytes)} above ${megabytes(bytesBefore)}; plan ${megabytes(planBytes)}`);
  const figures = { loadMs, firstTokenMs, peakBytes, bytesBefore, planBytes };
  console.log(
    JSON.stringify({
      bench: "load-cost",
      model: basename(path),
      build,
      threads: model.threads,
      machine,
      ...figures,
    }),
  );
  await model.dispose();
}
