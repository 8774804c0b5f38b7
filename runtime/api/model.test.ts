import { readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { randomCheckpoint, smallConfig } from "../../test/random-model.js";
import { checkpointToGguf, plainVocabulary } from "../../test/write-gguf.js";
import { ContextError, ModelError, NumericError } from "../errors.js";
import { bytesSource, type Source } from "../formats/source.js";
import { type LoadOptions, load, loadInThread } from "./load.js";
import type { Model } from "./model.js";

const config = smallConfig({ vocabSize: 320, contextLength: 64 });
const checkpoint = randomCheckpoint({ config, type: "F32", seed: 4 });
const gguf = await checkpointToGguf(checkpoint, plainVocabulary(320));

/** Options under which a random model writes on: nothing is likely to be a stop. */
const greedy = { temperature: 0, maxTokens: 20 } as const;

/** The text of a generation that is given parts one after the other. */
async function textOf(generation: ReturnType<Model["generate"]>): Promise<string> {
  let text = "";
  for await (const part of generation) text += part.text;
  return text;
}

describe("generate()", () => {
  it("gives the same text in parts and as a whole", async () => {
    const model = await load(gguf);
    const whole = await model.generate("ab c", { seed: 3, maxTokens: 30 });
    expect(await textOf(model.generate("ab c", { seed: 3, maxTokens: 30 }))).toBe(whole.text);
    expect(whole.tokens.length).toBeGreaterThan(0);
    expect(whole.promptTokens).toEqual(model.tokenize("ab c"));
    expect(whole.promptTokens[0]).toBe(1);
    expect(whole.seed).toBe(3);
  });

  it("gives the same tokens for the same seed, also a random one that it told, and others for another", async () => {
    const model = await load(gguf);
    const first = await model.generate("a");
    expect((await model.generate("a", { seed: first.seed })).tokens).toEqual(first.tokens);
    expect((await model.generate("a", { seed: first.seed + 1 })).tokens).not.toEqual(first.tokens);
  });

  it("feeds ids as they are, and nothing else", async () => {
    const model = await load(gguf);
    const { promptTokens, tokens } = await model.generate([5, 9, 300], greedy);
    expect(promptTokens).toEqual([5, 9, 300]);
    const viaText = await model.generate(model.tokenize("ab"), greedy);
    expect((await model.generate("ab", greedy)).tokens).toEqual(viaText.tokens);
    expect(tokens).not.toEqual(viaText.tokens);
  });

  it("feeds the beginning of text alone for an empty prompt", async () => {
    const model = await load(gguf);
    expect((await model.generate("", greedy)).promptTokens).toEqual([1]);
  });

  it("stops at the end of the context with what it has written", async () => {
    const model = await load(gguf, { contextLength: 16 });
    const { tokens, finishReason, endedBy } = await model.generate([5, 6, 7, 8], { temperature: 0 });
    expect(tokens).toHaveLength(13); // positions 4 to 15, and the one that the last of them predicts
    expect([finishReason, endedBy]).toEqual(["length", "context"]);
  });

  it("stops at maxTokens, which may be 0", async () => {
    const model = await load(gguf);
    expect(await model.generate([5], { ...greedy, maxTokens: 0 })).toMatchObject({
      tokens: [],
      endedBy: "maxTokens",
    });
    expect((await model.generate([5], { ...greedy, maxTokens: 1 })).tokens).toHaveLength(1);
  });

  it.each(["eos", "bos", "eot"] as const)(
    "stops at the model's %s, which is not part of the text",
    async (kind) => {
      const free = await (await load(gguf)).generate([5, 9], greedy);
      const stop = free.tokens[4]!; // the same model calls this id its end
      const vocabulary = { ...plainVocabulary(320), [kind]: stop };
      const model = await load(await checkpointToGguf(checkpoint, vocabulary));
      const { tokens, finishReason, endedBy } = await model.generate([5, 9], greedy);
      expect(tokens).toEqual(free.tokens.slice(0, free.tokens.indexOf(stop)));
      expect([finishReason, endedBy]).toEqual(["stop", kind]);
    },
  );

  it("runs a hundred requests at once in order, without mixing them up", async () => {
    const model = await load(gguf);
    const prompts = Array.from({ length: 100 }, (_, i) => [5 + i, 9, 3 + (i % 7)]);
    const alone = await load(gguf);
    const expected: (readonly number[])[] = [];
    for (const prompt of prompts)
      expected.push((await alone.generate(prompt, { ...greedy, maxTokens: 5 })).tokens);
    const order: number[] = [];
    const found = await Promise.all(
      prompts.map(async (prompt, i) => {
        const { tokens } = await model.generate(prompt, { ...greedy, maxTokens: 5 });
        order.push(i);
        return tokens;
      }),
    );
    expect(found).toEqual(expected);
    expect(order).toEqual(prompts.map((_, i) => i));
  });

  it("lets the next one in when an iteration is left early", async () => {
    const model = await load(gguf);
    for await (const _ of model.generate("a")) break;
    expect((await model.generate("a", greedy)).tokens.length).toBeGreaterThan(0);
  });

  it("writes on from the prompt as it was, whatever the caller does with the array", async () => {
    const model = await load(gguf);
    const expected = (await model.generate([5, 9], greedy)).tokens;
    const ids = [5, 9];
    const found: number[] = [];
    for await (const { token } of model.generate(ids, greedy)) {
      found.push(token);
      ids.push(token);
    }
    expect(found).toEqual(expected);
  });

  it("lets two models be used side by side", async () => {
    const [one, two] = await Promise.all([load(gguf), load(gguf)]);
    const [a, b] = await Promise.all([one.generate("ab", greedy), two.generate("ab", greedy)]);
    expect(a.tokens).toEqual(b.tokens);
  });
});

describe("logits()", () => {
  it("gives the last position's, or every one's from a number on, the same as generate sees", async () => {
    const model = await load(gguf);
    const ids = [5, 9, 300, 7, 8, 9, 10, 11, 12, 13, 14];
    const all: Float32Array[] = [];
    for await (const row of model.logits(ids, { from: 0 })) all.push(row);
    expect(all).toHaveLength(ids.length);
    const last: Float32Array[] = [];
    for await (const row of model.logits(ids)) last.push(row);
    expect(last).toEqual(all.slice(-1));
    const best = last[0]!.indexOf(Math.max(...last[0]!));
    expect((await model.generate(ids, { temperature: 0, maxTokens: 1 })).tokens).toEqual([best]);
  });
});

describe("an abort", () => {
  const reason = new Error("changed my mind");

  it("before the start rejects with the signal's reason, and the model goes on", async () => {
    const model = await load(gguf);
    const attempt = async () => await model.generate("a", { signal: AbortSignal.abort(reason) });
    await expect(attempt()).rejects.toBe(reason);
    expect((await model.generate("a", greedy)).tokens.length).toBeGreaterThan(0);
  });

  it("while tokens come ends the iteration at the next step; a second one, or one after the end, does nothing", async () => {
    const model = await load(gguf);
    const controller = new AbortController();
    let count = 0;
    const attempt = async () => {
      for await (const _ of model.generate([5], { temperature: 0, signal: controller.signal })) {
        if (++count === 3) controller.abort(reason);
      }
    };
    await expect(attempt()).rejects.toBe(reason);
    expect(count).toBe(3);
    controller.abort();
    expect((await model.generate("a", greedy)).tokens.length).toBeGreaterThan(0);
  });

  it("of one that pauses lets the next one in", async () => {
    const model = await load(gguf);
    const controller = new AbortController();
    const paused = model.generate([5], { temperature: 0, signal: controller.signal })[Symbol.asyncIterator]();
    await paused.next();
    const next = (async () => await model.generate([5, 9], greedy))();
    controller.abort(reason);
    expect((await next).tokens).toEqual((await (await load(gguf)).generate([5, 9], greedy)).tokens);
    await expect(paused.next()).rejects.toBe(reason);
  });

  it("in a long prompt takes effect between two chunks", async () => {
    const slow = smallConfig({ vocabSize: 320, dim: 128, hiddenDim: 512, nLayers: 4, contextLength: 4096 });
    const model = await load(
      await checkpointToGguf(randomCheckpoint({ config: slow, type: "F16", seed: 1 }), plainVocabulary(320)),
    );
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 20);
    const began = performance.now();
    const attempt = async () =>
      await model.generate(Array(4096).fill(9), { maxTokens: 1, temperature: 0, signal: controller.signal });
    await expect(attempt()).rejects.toBe(reason);
    expect(performance.now() - began).toBeLessThan(2000);
  });

  it("while loading rejects with the signal's reason, and loading again works", async () => {
    const controller = new AbortController();
    const onProgress = () => controller.abort(reason);
    await expect(load(gguf, { signal: controller.signal, onProgress })).rejects.toBe(reason);
    await expect(load(gguf, { signal: controller.signal })).rejects.toBe(reason);
    expect((await load(gguf)).contextLength).toBe(64);
  });
});

describe("dispose()", () => {
  it("ends what is under way with an error, and frees the model for good", async () => {
    const model = await load(gguf);
    const attempt = async () => {
      for await (const _ of model.generate([5], { temperature: 0 })) await model.dispose();
    };
    await expect(attempt()).rejects.toThrow("has been disposed of");
    expect(() => model.generate("a")).toThrow("has been disposed of");
  });

  it("rejects those that wait for their turn", async () => {
    const model = await load(gguf);
    const all = [1, 2, 3].map(async () => await model.generate("a", { temperature: 0 }));
    const settled = Promise.allSettled(all);
    await model.dispose();
    expect((await settled).map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
  });

  it("rejects those that wait while the one before them pauses", async () => {
    const model = await load(gguf);
    const paused = model.generate([5], { temperature: 0 })[Symbol.asyncIterator]();
    await paused.next();
    const waiting = (async () => await model.generate("a", greedy))();
    await Promise.all([expect(waiting).rejects.toThrow("disposed of"), model.dispose()]);
    await expect(paused.next()).rejects.toThrow("disposed of");
  });

  it("may be called twice", async () => {
    const model = await load(gguf);
    await model.dispose();
    await model.dispose();
    await model[Symbol.asyncDispose]();
  });
});

describe("wrong input", () => {
  it.each([
    ["temperature", Number.NaN],
    ["temperature", -1],
    ["temperature", "hot"],
    ["topK", -5],
    ["topK", 1.5],
    ["topP", 1.01],
    ["topP", -0.1],
    ["seed", "x"],
    ["seed", -1],
    ["seed", 2 ** 53],
    ["maxTokens", -1],
    ["maxTokens", "10"],
    ["max_tokens", 10],
    ["stop", ""],
    ["stop", ["a", ""]],
    ["stop", 5],
    ["stop", "\ud83d"],
    ["logprobs", -1],
    ["logprobs", true],
    ["minP", Number.NaN],
    ["typicalP", -1],
    ["penaltyLastN", 1.5],
    ["sampler", 5],
  ])("generate({ %s: %s }) is a TypeError that names the parameter, at once", async (name, value) => {
    const model = await load(gguf);
    const attempt = () => model.generate("a", { [name]: value });
    expect(attempt).toThrow(TypeError);
    expect(attempt).toThrow(name);
  });

  it.each([
    ["contextLength", 0, TypeError],
    ["contextLength", 65, RangeError], // the model has 64
    ["threads", 0, TypeError],
    ["threads", "all", TypeError],
    ["cacheType", "q2", TypeError],
    ["threads", 1000, RangeError],
    ["threads", 1.5, TypeError],
    ["build", "native", TypeError],
    ["context", 5, TypeError],
  ])("load({ %s: %s }) is refused by name", async (name, value, kind) => {
    await expect(load(gguf, { [name]: value } as LoadOptions)).rejects.toThrow(kind);
    await expect(load(gguf, { [name]: value } as LoadOptions)).rejects.toThrow(
      name === "cacheType" ? "cache" : name,
    );
  });

  it.each([null, 5, {}, ""])("load(%s) says what a source is", async (from) => {
    await expect(load(from as never)).rejects.toThrow(/expected a path|no such file|ENOENT/);
  });

  it("a prompt longer than the context is an error with both counts", async () => {
    const model = await load(gguf);
    const attempt = async (prompt: string | number[]) => await model.generate(prompt, greedy);
    await expect(attempt(Array(65).fill(5))).rejects.toThrow(ContextError);
    await expect(attempt(Array(65).fill(5))).rejects.toThrow(/at most 64 .* found 65/);
    await expect(attempt("é".repeat(500))).rejects.toThrow(ContextError);
    expect((await model.generate(Array(64).fill(5), greedy)).tokens).toHaveLength(1);
  });

  it.each([-1, 320, 1.5, Number.NaN, "5"])("id %s in a prompt is a RangeError with the id", async (id) => {
    const model = await load(gguf);
    const attempt = async () => await model.generate([5, id as number], greedy);
    await expect(attempt()).rejects.toThrow(RangeError);
    await expect(attempt()).rejects.toThrow(`token id ${id}`);
  });

  it.each([undefined, 12, { length: 1 }])("a prompt that is %s is a TypeError, at once", async (prompt) => {
    const model = await load(gguf);
    expect(() => model.generate(prompt as never)).toThrow(TypeError);
    expect(() => model.logits(prompt as never)).toThrow(TypeError);
    await expect(model.perplexity(prompt as never)).rejects.toThrow(TypeError);
  });

  it("a hole among the ids is a RangeError", async () => {
    const model = await load(gguf);
    const ids = [1, 2, 5];
    delete ids[1];
    await expect((async () => await model.generate(ids, greedy))()).rejects.toThrow(RangeError);
  });

  it("no ids at all are a TypeError", async () => {
    const model = await load(gguf);
    await expect((async () => await model.generate([], greedy))()).rejects.toThrow(TypeError);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])(
    "a weight of %s is a NumericError that names the tensor",
    async (bad) => {
      for (const name of ["blk.1.ffn_up.weight", "blk.0.attn_norm.weight"]) {
        const broken = gguf.slice();
        const weights = await checkpoint.readRows(checkpoint.tensors.get(name)!, 0, 1);
        const at = Buffer.from(broken).indexOf(Buffer.from(weights));
        new DataView(broken.buffer).setFloat32(at + 4, bad, true);
        await expect(load(broken)).rejects.toThrow(NumericError);
        await expect(load(broken)).rejects.toThrow(name);
      }
    },
  );

  it("weights so large that the logits overflow are a NumericError, not random text", async () => {
    const broken = gguf.slice();
    const weights = await checkpoint.readRows(checkpoint.tensors.get("output_norm.weight")!, 0, 1);
    const at = Buffer.from(broken).indexOf(Buffer.from(weights));
    const view = new DataView(broken.buffer);
    for (let i = 0; i < config.dim; i++) view.setFloat32(at + i * 4, 3e38, true);
    const model = await load(broken);
    await expect((async () => await model.generate("a", greedy))()).rejects.toThrow(NumericError);
    await expect(model.logits("a").next()).rejects.toThrow(NumericError);
  });

  it("embeddings whose squares overflow are a NumericError too", async () => {
    const name = "token_embd.weight";
    const weights = await checkpoint.readRows(checkpoint.tensors.get(name)!, 0, config.vocabSize);
    const broken = gguf.slice();
    const at = Buffer.from(broken).indexOf(Buffer.from(weights));
    const view = new DataView(broken.buffer);
    for (let i = 0; i < weights.length; i += 4)
      view.setFloat32(at + i, 1e25 * view.getFloat32(at + i, true), true);
    const model = await load(broken);
    await expect((async () => await model.generate([5], greedy))()).rejects.toThrow(NumericError);
  });
});

describe("a model without a usable vocabulary", () => {
  const { tokens, model: kind } = plainVocabulary(320);
  const bare = checkpointToGguf(checkpoint, { model: kind, tokens }); // no scores, no types

  it("loads, and continues ids, without text", async () => {
    const model = await load(await bare);
    const result = await model.generate([5, 9], greedy);
    expect(result.tokens.length).toBeGreaterThan(0);
    expect(result.text).toBe("");
  });

  it("is an error only where text is needed", async () => {
    const model = await load(await bare);
    await expect((async () => await model.generate("a"))()).rejects.toThrow(ModelError);
    expect(() => model.tokenizer).toThrow(/scores/);
    expect(() => model.tokenize("a")).toThrow(ModelError);
  });

  it("takes a tokenizer from another file, which must have as many pieces", async () => {
    const model = await load(await bare, { tokenizer: gguf });
    expect((await model.generate("ab", greedy)).promptTokens).toEqual((await load(gguf)).tokenize("ab"));
    const small = await checkpointToGguf(
      randomCheckpoint({ config: smallConfig({ vocabSize: 300 }), type: "F32", seed: 1 }),
      plainVocabulary(300),
    );
    await expect(load(await bare, { tokenizer: small })).rejects.toThrow(/expected 320 pieces.*found 300/);
  });
});

describe("load()", () => {
  const path = join(tmpdir(), `cria-load-${process.pid}.gguf`);
  afterAll(() => rm(path, { force: true }));

  it("takes a path, a URL, bytes, a Blob and a source of ranges alike", async () => {
    await writeFile(path, gguf);
    const source: Source = { ...bytesSource(gguf), name: "mine" };
    const sources = [
      path,
      new URL(`file://${path}`),
      gguf,
      (await readFile(path)).buffer,
      new Blob([gguf as never]),
      source,
    ];
    const texts: string[] = [];
    for (const from of sources) texts.push((await (await load(from as never)).generate("ab", greedy)).text);
    expect(new Set(texts).size).toBe(1);
  });

  it("tells its progress up to the whole", async () => {
    const seen: number[] = [];
    let total = 0;
    await load(gguf, {
      onProgress(progress) {
        seen.push(progress.loaded);
        total = progress.total;
      },
    });
    expect(seen.at(-1)).toBe(total);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
  });

  it("takes Node's Buffer, whose slices share memory", async () => {
    const model = await load(Buffer.from(gguf));
    expect((await model.generate("ab", greedy)).text).toBe(
      (await (await load(gguf)).generate("ab", greedy)).text,
    );
  });

  it("takes a source of the caller's own, without a close as well", async () => {
    const { name, size, read } = bytesSource(gguf);
    expect((await load({ name, size, read })).contextLength).toBe(64);
  });

  it.each([
    [
      "a read that gives too little",
      { ...bytesSource(gguf), read: async () => gguf.subarray(0, 9) },
      /expected .* gave 9/,
    ],
    [
      "a read that gives no bytes",
      { ...bytesSource(gguf), read: async () => "text" },
      /gave no Uint8Array but string/,
    ],
    [
      "a size that is none",
      { ...bytesSource(gguf), size: 1e300 },
      /expected its size in bytes, found 1e\+300/,
    ],
    ["no size", { ...bytesSource(gguf), size: undefined }, /found undefined/],
  ])("refuses a source with %s", async (_, source, message) => {
    await expect(load(source as never)).rejects.toThrow(message);
  });

  it('without a source, or with "tiny", loads the bundled model, which writes a story', async () => {
    const { text, finishReason } = await (await load()).generate("Once upon a time", {
      seed: 1,
      maxTokens: 40,
    });
    expect([text.length > 80, finishReason]).toEqual([true, "length"]);
    const again = await (await load("tiny")).generate("Once upon a time", { seed: 1, maxTokens: 40 });
    expect(again.text).toBe(text);
  });

  it("closes the file when it fails as well as when it succeeds", async () => {
    let closed = 0;
    const counting = (bytes: Uint8Array): Source => ({
      ...bytesSource(bytes),
      async close() {
        closed++;
      },
    });
    await load(counting(gguf));
    await expect(load(counting(gguf.subarray(0, 1000)))).rejects.toThrow();
    expect(closed).toBe(2);
  });

  it("loads again and again without keeping memory", async () => {
    const bytes = () => process.memoryUsage().arrayBuffers;
    const before = bytes();
    for (let i = 0; i < 200; i++) await (await loadInThread(gguf)).dispose();
    // 200 models are some 600 MB; the engine frees them when it likes, but it does
    expect(bytes() - before).toBeLessThan(400e6);
  });
});
