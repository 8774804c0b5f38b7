import { execFile } from "node:child_process";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, expect, it } from "vitest";
import { writeSyntheticModel } from "../../bench/synthetic-model.js";
import { randomCheckpoint, smallConfig } from "../../test/random-model.js";
import { checkpointToGguf, plainVocabulary } from "../../test/write-gguf.js";
import { load, loadInThread } from "../api/load.js";
import { ContextError, FormatError, ThreadError } from "../errors.js";
import { errorMessage, errorOf } from "./errors.js";

const config = smallConfig({ vocabSize: 320, contextLength: 64 });
const gguf = await checkpointToGguf(randomCheckpoint({ config, type: "F32", seed: 4 }), plainVocabulary(320));
const folder = await mkdtemp(join(tmpdir(), "cria-worker-"));
afterAll(() => rm(folder, { recursive: true }));

/** Takes half a second or so for a thousand tokens. */
const slow = join(folder, "slow.gguf");
writeSyntheticModel(slow, {
  name: "slow",
  shape: {
    config: smallConfig({ vocabSize: 320, contextLength: 2048, dim: 512, hiddenDim: 1536, nLayers: 8 }),
    tied: false,
  },
  type: "Q8_0",
  vocabulary: plainVocabulary(320),
  seed: 1,
});
const thousand = Array.from({ length: 1000 }, (_, i) => 3 + (i % 300));

const osThreads = () => readdirSync("/proc/self/task").length;

describe("a model in a worker", () => {
  it("gives what it gives in thread, token by token", async () => {
    const [model, inThread] = [await load(gguf), await loadInThread(gguf)];
    expect([model.inThread, inThread.inThread]).toEqual([false, true]);
    for (const options of [{ seed: 3 }, { seed: 4, logprobs: 2, dry: {} }, { seed: 5, stop: "▁" }]) {
      const expected = await inThread.generate("ab c", { ...options, maxTokens: 30 });
      const found = await model.generate("ab c", { ...options, maxTokens: 30 });
      const { timings: _, usage: __, ...rest } = found;
      expect(expected).toMatchObject(rest);
    }
    const rows = async (from: typeof model) => {
      const all: Float32Array[] = [];
      for await (const row of from.logits([5, 6, 7, 8, 9, 10, 11, 12, 13, 14], { from: 0 })) all.push(row);
      return all;
    };
    expect(await rows(model)).toEqual(await rows(inThread));
    expect(await model.perplexity("abc ab c")).toEqual(await inThread.perplexity("abc ab c"));
  });

  it("leaves the caller's thread free while it reads a prompt", async () => {
    const model = await load(slow, { threads: 1 });
    let longest = 0;
    let last = performance.now();
    const timer = setInterval(() => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }, 1);
    const { timings } = await model.generate(thousand, { maxTokens: 1 });
    clearInterval(timer);
    expect(timings.promptMs).toBeGreaterThan(100);
    expect(longest).toBeLessThan(timings.promptMs / 2);
    await model.dispose();
  });

  it("rejects within 100 ms of an abort in the middle of a prompt of 1,000 tokens, and computes no further", async () => {
    const model = await load(slow, { threads: 2 });
    const session = model.session();
    await session.append([5, 6]);
    for (let i = 0; i < 5; i++) {
      const abort = new AbortController();
      const reason = new Error("enough");
      let abortedAt = 0;
      setTimeout(() => {
        abortedAt = performance.now();
        abort.abort(reason);
      }, 100);
      await expect(session.generate(thousand, { signal: abort.signal })).rejects.toBe(reason);
      expect(performance.now() - abortedAt).toBeLessThan(100);
      // the next call is computed at once: the worker has left the prompt too
      await session.logits();
      expect(performance.now() - abortedAt).toBeLessThan(400);
    }
    expect(session.tokens).toEqual([5, 6]);
    const fresh = await loadInThread(slow, { threads: 2 });
    for await (const expected of fresh.logits([5, 6])) expect(await session.logits()).toEqual(expected);
    await Promise.all([model.dispose(), fresh.dispose()]);
  });

  it("passes errors on with their class and text, and those of a source as they are", async () => {
    const model = await load(gguf);
    const long = Array.from({ length: 65 }, () => 5);
    await expect(model.generate(long)).rejects.toThrow(ContextError);
    await expect(model.generate([320])).rejects.toThrow(/token id 320 \(number 0\)/);
    const damaged = load(gguf.subarray(0, 3000));
    await expect(damaged).rejects.toThrow(FormatError);
    const reason = new Error("the disk is gone");
    const source = { name: "mine", size: gguf.length, read: () => Promise.reject(reason) };
    await expect(load(source)).rejects.toBe(reason);
    await expect(load("/nowhere.gguf")).rejects.toMatchObject({ code: "ENOENT", path: "/nowhere.gguf" });
    await model.dispose();
  });

  it("runs in a script of the caller's, with its threads", async () => {
    const workerUrl = new URL("../../dist/runtime/worker/worker.js", import.meta.url);
    const model = await load(slow, { threads: 2, workerUrl });
    expect([model.inThread, model.threads]).toEqual([false, 2]);
    const expected = await (await loadInThread(slow)).generate([5, 6], { seed: 1, maxTokens: 4 });
    expect((await model.generate([5, 6], { seed: 1, maxTokens: 4 })).tokens).toEqual(expected.tokens);
    await model.dispose();
    await expect(load(gguf, { workerUrl: "/nowhere.mjs" })).rejects.toThrow(ThreadError);
    await expect(load(gguf, { workerUrl: 5 as never })).rejects.toThrow(/workerUrl.*5/);
  });

  it("leaves the caller's bytes to the caller", async () => {
    const own = gguf.slice();
    await (await load(own)).dispose();
    expect(own).toEqual(gguf);
  });

  it("writes a hundred texts that were asked for at once, each as it is alone", async () => {
    const model = await load(gguf);
    const options = { maxTokens: 6, temperature: 1 };
    const alone = await Promise.all(
      Array.from(
        { length: 10 },
        async (_, seed) => (await model.generate([5, 6], { ...options, seed })).tokens,
      ),
    );
    const all = Array.from({ length: 100 }, (_, i) => model.generate([5, 6], { ...options, seed: i % 10 }));
    for (const [i, { tokens }] of (await Promise.all(all)).entries()) expect(tokens).toEqual(alone[i % 10]);
    await model.dispose();
  });

  it("lets a text be written within the loop over another", async () => {
    const model = await load(gguf);
    const options = { seed: 1, maxTokens: 12 };
    const [outer, inner] = [await model.generate([5], options), await model.generate([9], options)];
    const tokens: number[] = [];
    for await (const { token } of model.generate([5], options)) {
      tokens.push(token);
      expect((await model.generate([9], options)).tokens).toEqual(inner.tokens);
    }
    expect(tokens).toEqual(outer.tokens);
    await model.dispose();
  });

  it("stays whole through a thousand texts with aborts and early ends in between, and keeps no listeners", async () => {
    const model = await load(gguf);
    const alone = await model.generate([5, 6], { seed: 1, maxTokens: 8 });
    const abort = new AbortController();
    let listeners = 0;
    const { signal } = abort;
    const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners++;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners--;
      remove(...args);
    };
    const used: number[] = [];
    for (let i = 0; i < 1000; i++) {
      const options = { seed: 1, maxTokens: 8, signal };
      if (i % 10 === 3) for await (const _ of model.generate([5, 6], options)) break;
      else if (i % 10 === 7) {
        const own = new AbortController();
        const aborted = model.generate([5, 6], { ...options, signal: own.signal });
        setTimeout(() => own.abort(new Error("enough")), i % 3);
        await Promise.resolve(aborted).catch(() => {});
      } else expect((await model.generate([5, 6], options)).tokens).toEqual(alone.tokens);
      if (i % 250 === 249) used.push(process.memoryUsage().rss);
    }
    expect(listeners).toBe(0);
    expect(used.at(-1)! - used[0]!).toBeLessThan(64e6);
    await model.dispose();
  });

  it("rejects what is under way when it is disposed of, and leaves no thread behind", async () => {
    await (await load(gguf)).dispose(); // what starts once and stays
    const before = osThreads();
    const model = await load(slow, { threads: 3 });
    expect(osThreads()).toBeGreaterThanOrEqual(before + 3);
    const prompt = expect(model.generate(thousand)).rejects.toThrow("has been disposed of");
    const waiting = expect(model.generate([5])).rejects.toThrow("has been disposed of");
    await new Promise((resolve) => setTimeout(resolve, 50));
    await model.dispose();
    await Promise.all([prompt, waiting]);
    expect(osThreads()).toBeLessThanOrEqual(before);
    expect(() => model.generate("a")).toThrow("disposed of");
  });

  it("is not loaded when that is aborted, and leaves no thread behind", async () => {
    await (await load(gguf)).dispose();
    const before = osThreads();
    for (const delay of [0, 1, 20, 60]) {
      const abort = new AbortController();
      const reason = new Error("enough");
      setTimeout(() => abort.abort(reason), delay);
      const bytes = readFileSync(slow);
      const source = {
        name: "slow",
        size: bytes.length,
        async read(start: number, end: number) {
          await new Promise((resolve) => setTimeout(resolve, 5));
          return bytes.subarray(start, end);
        },
      };
      await expect(load(source, { signal: abort.signal, threads: 2 })).rejects.toBe(reason);
    }
    expect(osThreads()).toBeLessThanOrEqual(before);
  });
});

describe("a program with a model in a worker", () => {
  writeFileSync(join(folder, "model.gguf"), gguf);
  const index = new URL("../../dist/runtime/index.js", import.meta.url).href;
  const run = async (body: string, args: readonly string[] = []) => {
    const path = join(folder, "program.mjs");
    writeFileSync(path, `import { load, loadInThread } from ${JSON.stringify(index)};\n${body}`);
    const { stdout } = await promisify(execFile)(process.execPath, [...args, path], {
      cwd: folder,
      timeout: 20_000,
    });
    return stdout.trim();
  };

  it("ends when it has nothing more to do, disposed of or not", async () => {
    expect(
      await run(`
        const model = await load("model.gguf", { threads: 2 });
        console.log((await model.generate("a", { seed: 1, maxTokens: 3 })).tokens.length);`),
    ).toBe("3");
  });

  it("is told when the worker ends under it: all that is under way and all that comes rejects", async () => {
    // the worker is found by way of the module that makes workers
    expect(
      await run(`
        import worker from "node:worker_threads";
        import { syncBuiltinESMExports } from "node:module";
        const workers = [];
        worker.Worker = class extends worker.Worker {
          constructor(...args) { super(...args); workers.push(this); }
        };
        syncBuiltinESMExports();
        const model = await load("model.gguf");
        const name = (promise) => Promise.resolve(promise).then(() => "ended", (error) => error.name);
        const running = model.generate("a", { maxTokens: 60, temperature: 1 });
        const iteration = running[Symbol.asyncIterator]();
        await iteration.next();
        const waiting = model.session().append("a");
        workers[0].terminate();
        console.log(await name(waiting), await name(model.generate("a")));
        await model.dispose();
        const other = await load("model.gguf");
        console.log((await other.generate("a", { seed: 1, maxTokens: 3 })).tokens.length);
        await other.dispose();`),
    ).toMatch(/^(ended|ThreadError) ThreadError\n3$/);
  });

  it.each(["load", "loadInThread"])(
    "gets the memory of %s() back when it disposes of the model, held or not",
    async (how) => {
      const printed = await run(
        `
        const held = [];
        const used = () => {
          gc();
          return process.memoryUsage().rss;
        };
        const before = used();
        let most = 0;
        for (let i = 0; i < 6; i++) {
          const model = await ${how}("slow.gguf", { threads: 2 });
          const session = model.session();
          await session.append([3, 4]);
          held.push(model, session);
          most = Math.max(most, used());
          await model.dispose();
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
        console.log(before, most, used());`,
        ["--expose-gc"],
      );
      const [before, most, after] = printed.split(" ").map(Number);
      const { size } = statSync(slow);
      expect(most! - before!).toBeGreaterThan(size); // else nothing is measured
      expect(after! - before!).toBeLessThan(2 * size);
    },
  );

  it("ends though an iteration has been begun and dropped", async () => {
    expect(
      await run(`
        const model = await load("model.gguf");
        const iteration = model.generate("a", { seed: 1 })[Symbol.asyncIterator]();
        console.log((await iteration.next()).done);`),
    ).toBe("false");
  });

  it("computes in thread where workers are refused, from a source that is closed once it has been read", async () => {
    expect(
      await run(`
        import worker from "node:worker_threads";
        import { readFileSync } from "node:fs";
        import { syncBuiltinESMExports } from "node:module";
        worker.Worker = class { constructor() { throw new Error("no workers here"); } };
        syncBuiltinESMExports();
        const bytes = readFileSync("model.gguf");
        let closed = 0;
        const source = {
          name: "mine",
          size: bytes.length,
          async read(start, end) {
            if (closed) throw new Error("closed");
            return bytes.subarray(start, end);
          },
          async close() { closed++; },
        };
        const model = await load(source);
        console.log(model.inThread, closed);`),
    ).toBe("true 1");
  });

  it("computes in thread where workers are refused", async () => {
    expect(
      await run(`
        import worker from "node:worker_threads";
        import { syncBuiltinESMExports } from "node:module";
        worker.Worker = class { constructor() { throw new Error("no workers here"); } };
        syncBuiltinESMExports();
        const model = await load("model.gguf");
        console.log(model.inThread, (await model.generate("a", { seed: 1, maxTokens: 3 })).tokens.length);`),
    ).toBe("true 3");
  });
});

describe("errors between threads", () => {
  it("keep their class, text, causes and what the system says", () => {
    const error = Object.assign(new FormatError("bad", { cause: new RangeError("worse") }), { code: "X1" });
    const found = errorOf(structuredClone(errorMessage(error)));
    expect(found).toBeInstanceOf(FormatError);
    expect(found).toMatchObject({ message: "bad", name: "FormatError", code: "X1", stack: error.stack });
    expect(found.cause).toBeInstanceOf(RangeError);
    expect(errorOf(errorMessage("just text")).message).toBe("just text");
  });
});
