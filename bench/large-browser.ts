// A large model in headless Chromium: chosen as a file, as a person does it, and computed by the page's worker.

import { statSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { basename, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { describeMachine, thisMachine } from "../cli/machine.js";
import { launchChromium } from "../test/chromium.js";
import { serve } from "./static-server.js";

const help = `usage: node dist/bench/large-browser.js MODEL.gguf [--context N] [--threads N] [--ids N] [--decode N]

Prints seconds of loading, tokens per second, and the SHA-256 of the logits of as many ids as bench/large.js feeds with --ids, which is to be the
same; as its last line the same as JSON. Chromium is where test/chromium.ts looks for it.
`;

const html = `<!doctype html>
<title>a large model</title>
<script type="importmap">
  { "imports": { "@assemblyscript/loader": "/repo/node_modules/@assemblyscript/loader/index.js" } }
</script>
<input type="file">
`;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    context: { type: "string", default: "4096" },
    threads: { type: "string", default: "2" },
    ids: { type: "string", default: "64" },
    decode: { type: "string", default: "4" },
    help: { type: "boolean" },
  },
});
if (options.help) process.stdout.write(help);
else await main();

async function main(): Promise<void> {
  const [path, ...more] = positionals;
  if (!path || more.length)
    throw new TypeError(`expected one model, found ${positionals.length}; see --help`);
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const server = await serve({ html, folders: { repo: root } });
  const browser = await launchChromium();
  try {
    const page = await browser.newPage();
    page.on("pageerror", (error) => console.error(error.message));
    await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/`);
    await page.setInputFiles("input", resolve(path));
    const job = {
      contextLength: Number(options.context),
      threads: Number(options.threads),
      ids: Number(options.ids),
      decode: Number(options.decode),
    };
    page.setDefaultTimeout(0);
    const found = await page.evaluate(measure, job);
    console.log(
      `${basename(path)} (${statSync(path).size} bytes), Chromium ${browser.version()}, ${found.build} build, ${found.threads} threads; ${describeMachine(thisMachine())}`,
    );
    console.log(
      `loaded in ${found.loadSeconds.toFixed(1)} s; ${job.ids} ids in ${found.promptSeconds.toFixed(1)} s; ${found.decodeTokensPerSecond.toPrecision(3)} tokens/s`,
    );
    console.log(JSON.stringify({ bench: "large-browser", model: basename(path), ...job, ...found }));
  } finally {
    await browser.close();
    server.close();
    server.closeAllConnections();
  }
}

interface PageJob {
  readonly contextLength: number;
  readonly threads: number;
  readonly ids: number;
  readonly decode: number;
}

/** Runs in the page: nothing from outside of it is in reach. */
async function measure({ contextLength, threads, ids, decode }: PageJob) {
  const path = "/repo/dist/runtime/index.js"; // in a variable, since it is the page's address, and no module of this program's
  const { load }: typeof import("../runtime/index.js") = await import(path);
  const file = document.querySelector("input")!.files![0]!;
  const began = performance.now();
  const model = await load(file, { contextLength, threads });
  const loadSeconds = (performance.now() - began) / 1000;

  const { vocabSize } = model.config;
  const prompt = Array.from({ length: ids }, (_, i) => (i === 0 ? 1 : (7919 * i + 104_729) % vocabSize));
  const logits = new Float32Array(ids * vocabSize);
  const from = performance.now();
  let row = 0;
  for await (const found of model.logits(prompt, { from: 0 })) logits.set(found, row++ * vocabSize);
  const promptSeconds = (performance.now() - from) / 1000;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", logits));
  const hash = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const { timings } = await model.generate(prompt.slice(0, 2), { maxTokens: decode + 1, temperature: 0 });
  const { build } = model;
  const used = model.threads;
  await model.dispose();
  const { decodeTokensPerSecond } = timings;
  return { build, threads: used, loadSeconds, promptSeconds, decodeTokensPerSecond, hash };
}
