// A model in a worker of its own: the main thread only passes texts on, and is free meanwhile.
//
//   node examples/worker.mjs "One day, a little cat"
//
// In a browser the same: new Worker(url, { type: "module" }), postMessage, and onmessage in place of on("message").

import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { load } from "cria";

if (isMainThread) {
  const [prompt = "One day, a little cat"] = process.argv.slice(2);
  let longestPause = 0;
  let last = performance.now();
  const watch = setInterval(() => {
    longestPause = Math.max(longestPause, performance.now() - last);
    last = performance.now();
  }, 1);

  const worker = new Worker(new URL(import.meta.url));
  worker.on("error", (error) => {
    throw error;
  });
  worker.on("message", async ({ text, usage }) => {
    if (usage === undefined) {
      process.stdout.write(text);
      return;
    }
    clearInterval(watch);
    await worker.terminate();
    const pause = longestPause.toFixed();
    console.error(`\n${usage.completionTokens} tokens; the main thread paused for ${pause} ms at most`);
  });
  worker.postMessage({ prompt, options: { maxTokens: 60, temperature: 0.8, seed: 7 } });
} else {
  const model = await load();
  parentPort?.on("message", async ({ prompt, options }) => {
    const story = model.generate(prompt, options);
    for await (const { text } of story) parentPort?.postMessage({ text });
    const { usage } = await story;
    parentPort?.postMessage({ usage });
  });
}
