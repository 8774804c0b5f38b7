import { describe, expect, it } from "vitest";
import { randomCheckpoint, smallConfig } from "../../test/random-model.js";
import { checkpointToGguf, plainVocabulary } from "../../test/write-gguf.js";
import { ContextError, SnapshotError } from "../errors.js";
import { openCheckpoint } from "../formats/open.js";
import { bytesSource } from "../formats/source.js";
import { planModel } from "../memory/plan.js";
import { load, loadInThread } from "./load.js";
import type { Model } from "./model.js";

// What one call must not do to another, nor a failure to what comes after it: in a worker and on the caller's thread.

const contextLength = 300;
const config = smallConfig({ dim: 128, hiddenDim: 512, nLayers: 8, vocabSize: 320, contextLength });
const gguf = await checkpointToGguf(randomCheckpoint({ config, type: "F32", seed: 3 }), plainVocabulary(320));
const checkpoint = await openCheckpoint(bytesSource(gguf));

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const ids = (count: number, seed = 7) => Array.from({ length: count }, (_, i) => 3 + ((i * seed) % 300));

async function rowsOf(model: Model, prompt: readonly number[], from: number): Promise<Float32Array[]> {
  const rows: Float32Array[] = [];
  for await (const row of model.logits(prompt, { from })) rows.push(row.slice());
  return rows;
}

/** A model whose layers are all streamed from a source that waits and fails as it is told. */
async function streamed(open: typeof load) {
  const reading = { before: async () => {} };
  const source = {
    name: "m.gguf",
    size: gguf.length,
    async read(start: number, end: number) {
      await reading.before();
      return gguf.slice(start, end);
    },
  };
  const memoryLimit = planModel(checkpoint, { contextLength, streamedLayers: 8 }).totalBytes;
  return { model: await open(source, { weights: "stream", memoryLimit, threads: 1 }), reading };
}

describe.each([
  ["in a worker", load],
  ["in thread", loadInThread],
])("%s", (_, open) => {
  it("rows of logits are right when a text that begins alike is computed between two of them", async () => {
    const model = await open(gguf);
    const prompt = ids(200);
    const expected = await rowsOf(model, prompt, 0);
    await rowsOf(model, [2, 3, 4], 0);
    const found: Float32Array[] = [];
    for await (const row of model.logits(prompt, { from: 0 })) {
      found.push(row.slice());
      if (found.length === 1) await model.generate(ids(120), { maxTokens: 1 });
    }
    expect(found.length).toBe(expected.length);
    expect(found).toEqual(expected);
    await model.dispose();
  });

  it("a pass that is aborted while weights are read does not touch those of the next one", async () => {
    const { model, reading } = await streamed(open);
    expect(model.streamedLayers).toBe(8);
    const [expected] = await rowsOf(model, [1, 50, 60, 70, 80], 4);
    let state = 1;
    for (let i = 0; i < 20; i++) {
      reading.before = async () => {};
      await rowsOf(model, [2, 3, 4], 2);
      reading.before = () => {
        state = (state * 1103515245 + 12345) % 2147483648;
        return pause(state % 6);
      };
      const abort = new AbortController();
      const aborted = model.logits([9, 8, 7, 6, 5, 4], { signal: abort.signal }).next();
      const settled = aborted.catch(() => {});
      await pause(2 + (i % 17));
      const next = rowsOf(model, [1, 50, 60, 70, 80], 4);
      abort.abort();
      expect((await next)[0]).toEqual(expected);
      await settled;
    }
    await model.dispose();
  });

  it("an abort and the disposal end a pass whose read never ends", async () => {
    const { model, reading } = await streamed(open);
    reading.before = () => new Promise(() => {});
    const abort = new AbortController();
    const reason = new Error("enough");
    const aborted = rowsOf(model, [3, 8, 7], 2);
    const first = model.logits([3, 8, 9], { signal: abort.signal }).next();
    await pause(20);
    abort.abort(reason);
    await expect(first).rejects.toBe(reason);
    const disposed = expect(aborted).rejects.toThrow("disposed of");
    await model.dispose();
    await disposed;
  });

  it("a session is saved once reads work again", async () => {
    const { model, reading } = await streamed(open);
    const session = model.session();
    await session.append([1, 2, 3]);
    reading.before = async () => {
      throw new Error("no disk");
    };
    await expect(session.save()).rejects.toThrow("no disk");
    reading.before = async () => {};
    expect((await model.restore(await session.save())).tokens).toEqual([1, 2, 3]);
    await model.dispose();
  });

  it("what onProgress throws ends the loading, or the scoring", async () => {
    const onProgress = () => {
      throw new Error("mine");
    };
    await expect(open(gguf, { onProgress })).rejects.toThrow("mine");
    const model = await open(gguf);
    await expect(model.perplexity("abc", { onProgress })).rejects.toThrow("mine");
    expect((await model.generate("a", { maxTokens: 2 })).tokens.length).toBeGreaterThan(0);
    await model.dispose();
  });

  it("ids that are no numbers are a RangeError, and dry goes on as without them", async () => {
    const model = await open(gguf);
    const options = { seed: 5, maxTokens: 40, dry: { multiplier: 5, allowedLength: 1 } };
    await expect(model.generate([1, (() => 1) as never], options)).rejects.toThrow(RangeError);
    await expect(model.logits([1, "2" as never]).next()).rejects.toThrow(RangeError);
    const inThread = await loadInThread(gguf);
    expect((await model.generate("ab", options)).tokens).toEqual(
      (await inThread.generate("ab", options)).tokens,
    );
    await model.dispose();
  });

  it("a chat is as before a message that did not fit, also what it tells the model", async () => {
    const model = await open(gguf);
    const chat = model.chat({ format: "llama2" });
    const short = { temperature: 0, maxTokens: 4 };
    await chat.send("ab", short);
    await chat.send("cd", short);
    const long = chat.send("x ".repeat(400), { ...short, contextFull: "shift" });
    await expect(long).rejects.toThrow(ContextError);
    const { promptTokens } = await chat.send("ef", short);
    const told = model.tokenizer.decode(promptTokens, { continues: true });
    expect([told.includes("ab"), told.includes("cd"), chat.messages.length]).toEqual([true, true, 6]);
    await model.dispose();
  });

  it("a session goes on by single tokens past the context's end, and with a prompt that needs room", async () => {
    const model = await open(gguf, { contextLength: 32 });
    const session = model.session();
    await session.append([5, 6, 7]);
    const options = {
      maxTokens: 1,
      contextFull: "shift",
      logitBias: { 1: -Infinity, 2: -Infinity },
    } as const;
    let written = 0;
    for (let i = 0; i < 60; i++) written += (await session.generate(undefined, options)).tokens.length;
    expect(written).toBe(60);
    await session.generate(ids(28), options);
    expect(session.tokens.slice(0, 1)).toEqual([5]);
    expect(session.tokens.slice(-29, -1)).toEqual(ids(28));
    await expect(session.generate(ids(32), options)).rejects.toThrow(ContextError);
    await model.dispose();
  });

  it("nothing is kept of a session whose restoring was aborted", async () => {
    const model = await open(gguf);
    const session = model.session();
    await session.append(ids(100));
    const snapshot = await session.save();
    session.dispose();
    for (let i = 0; i < 3; i++) {
      const abort = new AbortController();
      const restored = model.restore(snapshot, { signal: abort.signal });
      setTimeout(() => abort.abort(new Error("enough")), i);
      await restored.then((given) => given.dispose()).catch(() => {});
    }
    await model.generate([2, 3, 4], { maxTokens: 1 }); // the cache is another text's now
    expect((await model.generate(ids(100), { maxTokens: 1 })).usage.cachedTokens).toBe(0);
    await expect(model.restore(snapshot.subarray(1))).rejects.toThrow(SnapshotError);
    await model.dispose();
  });
});
