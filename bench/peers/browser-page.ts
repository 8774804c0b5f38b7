// What the page runs, served by browser.ts: one engine on one file, once. In Chromium, so nothing of Node is in reach.

import type { Job, Measured } from "./contestants.js";

export type BrowserEngine = "cria" | "wllama-2" | "wllama-3";

export interface BrowserJob extends Omit<Job, "model" | "depth"> {
  readonly engine: BrowserEngine;
  /** Two texts, each of as many tokens as the prompt, for the engine that takes no ids: to warm up and to be measured. */
  readonly texts: readonly [string, string];
}

export interface Speed extends Measured {
  /** That it used. */
  readonly threads: number;
}

const WARM_UP = { prompt: 16, passes: 4 };

export async function measure(job: BrowserJob): Promise<Speed> {
  if (!crossOriginIsolated) throw new Error("the page is not cross-origin isolated, so it has no threads");
  const model = await (await fetch("/model.gguf")).blob();
  return { cria, "wllama-2": wllama2, "wllama-3": wllama3 }[job.engine](model, job);
}

const names = ({ prompt, passes }: BrowserJob) => ({ read: `pp${prompt}`, write: `tg${passes}` });
const contextOf = ({ prompt, passes }: BrowserJob) => Math.max(prompt, passes + 1) + 16;
const ids = (count: number) =>
  Array.from({ length: count }, (_, i) => (i === 0 ? 1 : (7919 * i + 104_729) % 32_000));

async function cria(blob: Blob, job: BrowserJob): Promise<Speed> {
  const runtime: typeof import("../../runtime/index.js") = await import(path("/repo/dist/runtime/index.js"));
  const tests: typeof import("../../cli/speed-tests.js") = await import(
    path("/repo/dist/cli/speed-tests.js")
  );
  const { prompt, passes, threads } = job;
  const model = await runtime.load(blob, { threads, contextLength: contextOf(job) });
  await tests.warmUp(model, { prompt: Math.min(prompt, 64), passes });
  const read = await tests.promptTest(prompt).time(model, 0);
  const write = await tests.writingTest(passes, 0).time(model, 0);
  const { read: pp, write: tg } = names(job);
  return {
    engine: `cria, ${model.build}`,
    threads: model.threads,
    values: { [pp]: prompt / read.seconds, [tg]: passes / write.seconds },
  };
}

// What is used of the two packages, whose own types need a bundler's resolution.

interface Wllama2 {
  loadModel(blobs: readonly Blob[], options: object): Promise<void>;
  getNumThreads(): number;
  kvClear(): Promise<void>;
  decode(ids: readonly number[], options: object): Promise<unknown>;
  samplingInit(options: object): Promise<void>;
  samplingSample(): Promise<{ readonly token: number }>;
  samplingAccept(ids: readonly number[]): Promise<void>;
}

interface Wllama3 {
  loadModel(blobs: readonly Blob[], options: object): Promise<void>;
  getNumThreads(): number;
  createCompletion(options: object): Promise<{
    readonly timings?: Readonly<Record<"prompt_n" | "prompt_ms" | "predicted_n" | "predicted_ms", number>>;
  }>;
}

/** wllama 2 takes ids, and is driven as its own createCompletion() does: sample, accept, decode. */
async function wllama2(blob: Blob, job: BrowserJob): Promise<Speed> {
  const { Wllama }: { Wllama: new (...given: object[]) => Wllama2 } = await import(
    path("/modules/wllama-2/esm/index.js")
  );
  const at = (build: string) => new URL(`/modules/wllama-2/esm/${build}/wllama.wasm`, location.href).href;
  const wllama = new Wllama(
    { "single-thread/wllama.wasm": at("single-thread"), "multi-thread/wllama.wasm": at("multi-thread") },
    { suppressNativeLog: true },
  );
  await wllama.loadModel([blob], { n_threads: job.threads, n_ctx: contextOf(job), n_batch: 512 });

  const read = async (count: number) => {
    await wllama.kvClear();
    const began = performance.now();
    await wllama.decode(ids(count), {});
    return (performance.now() - began) / 1000;
  };
  const write = async (passes: number) => {
    await read(1);
    await wllama.samplingInit({ temp: 0 });
    const began = performance.now();
    for (let pass = 0; pass < passes; pass++) {
      const { token } = await wllama.samplingSample();
      await wllama.samplingAccept([token]);
      await wllama.decode([token], {});
    }
    return (performance.now() - began) / 1000;
  };
  await read(WARM_UP.prompt);
  await write(WARM_UP.passes);
  const { read: pp, write: tg } = names(job);
  return {
    engine: "wllama 2.2.1",
    threads: wllama.getNumThreads(),
    values: { [pp]: job.prompt / (await read(job.prompt)), [tg]: job.passes / (await write(job.passes)) },
  };
}

/** wllama 3 takes texts only, and tells llama.cpp's own times. */
async function wllama3(blob: Blob, job: BrowserJob): Promise<Speed> {
  const { Wllama }: { Wllama: new (...given: object[]) => Wllama3 } = await import(
    path("/modules/wllama-3/esm/index.js")
  );
  const wasm = new URL("/modules/wllama-3/esm/wasm/wllama.wasm", location.href).href;
  const wllama = new Wllama({ default: wasm }, { suppressNativeLog: true });
  await wllama.loadModel([blob], { n_threads: job.threads, n_ctx: contextOf(job), n_gpu_layers: 0 });
  const complete = async (prompt: string, tokens: number) => {
    const answer = await wllama.createCompletion({ prompt, max_tokens: tokens, temperature: 0 });
    if (!answer.timings) throw new Error("wllama 3 told no times");
    return answer.timings;
  };
  const [short, long] = job.texts;
  await complete(short.slice(0, 5 * WARM_UP.prompt), WARM_UP.passes);
  // the first token that is written comes with the prompt
  const { prompt_n, prompt_ms, predicted_n, predicted_ms } = await complete(long, job.passes + 1);
  if (predicted_n < 2) throw new Error("wllama 3 ended its text at once");
  const { read: pp, write: tg } = names(job);
  return {
    engine: "wllama 3.8.1",
    threads: wllama.getNumThreads(),
    values: { [pp]: (1000 * prompt_n) / prompt_ms, [tg]: (1000 * (predicted_n - 1)) / predicted_ms },
  };
}

/** A path of the server: the compiler is not to look for it. */
function path(url: string): string {
  return url;
}

Object.assign(globalThis, { measure });
