import { describe, expect, it } from "vitest";
import { randomCheckpoint, smallConfig } from "../../test/random-model.js";
import { checkpointToGguf, plainVocabulary } from "../../test/write-gguf.js";
import { ModelError } from "../errors.js";
import type { Part } from "./generation.js";
import { load, loadInThread } from "./load.js";

const config = smallConfig({ vocabSize: 320, contextLength: 64 });
const checkpoint = randomCheckpoint({ config, type: "F32", seed: 4 });
const gguf = await checkpointToGguf(checkpoint, plainVocabulary(320));

/** Options under which a random model writes on: nothing is likely to be a stop. */
const greedy = { temperature: 0, maxTokens: 20 } as const;

describe("stop strings", () => {
  const options = { seed: 3, maxTokens: 40 } as const;

  it("end the text before them, over token boundaries too, and no part shows any of them", async () => {
    const model = await load(gguf);
    const free = await model.generate("ab c", options);
    const stop = free.text.slice(7, 11); // tokens here are bytes and letters
    const at = free.text.indexOf(stop);
    for (const given of [stop, [stop], ["never there", stop]]) {
      const parts: string[] = [];
      const generation = model.generate("ab c", { ...options, stop: given });
      for await (const { text } of generation) parts.push(text);
      const result = await generation;
      expect(parts.join("")).toBe(free.text.slice(0, at));
      expect(result).toMatchObject({ finishReason: "stop", endedBy: "stopString", stopString: stop });
      expect(result.text).toBe(free.text.slice(0, at));
      expect(result.tokens).toEqual(free.tokens.slice(0, result.tokens.length));
      expect(result.usage.completionTokens).toBe(result.tokens.length);
    }
  });

  it("hold back no text that is not theirs: what might have begun one comes at the end", async () => {
    const model = await load(gguf);
    const free = await model.generate("ab c", options);
    const stop = `${free.text.slice(-3)}and more`;
    const result = await model.generate("ab c", { ...options, stop });
    expect(result).toMatchObject({ text: free.text, tokens: free.tokens, endedBy: "maxTokens" });
    expect(result.stopString).toBeUndefined();
  });

  it("let the next one in, and leave other generations alone", async () => {
    const model = await load(gguf);
    const free = await model.generate("ab c", options);
    const stopped = model.generate("ab c", { ...options, stop: free.text[4]! });
    const [a, b] = await Promise.all([stopped, model.generate("ab c", options)]);
    expect(a.tokens.length).toBeLessThan(b.tokens.length);
    expect(b.text).toBe(free.text);
  });

  it("need a tokenizer", async () => {
    const { tokens, model: kind } = plainVocabulary(320);
    const model = await load(await checkpointToGguf(checkpoint, { model: kind, tokens }));
    expect(() => model.generate([5], { stop: "x" })).toThrow(ModelError);
  });
});

describe("logprobs", () => {
  it("are the logarithms of the model's probabilities, whatever the sampler does", async () => {
    const model = await load(gguf);
    const parts: Part[] = [];
    const options = { temperature: 0.3, topK: 5, seed: 1, maxTokens: 12, logprobs: 3, logitBias: { 7: 3 } };
    for await (const part of model.generate([5, 9], options)) parts.push(part);
    const written = parts.filter(({ logprob }) => logprob !== undefined);
    const ids = [5, 9, ...written.map(({ token }) => token)];
    let i = 0;
    for await (const logits of model.logits(ids.slice(0, -1), { from: 1 })) {
      const sum = logits.reduce((total, logit) => total + Math.exp(logit), 0);
      const logprob = (id: number) => logits[id]! - Math.log(sum);
      const best = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]!).slice(0, 3);
      const part = written[i++]!;
      expect(part.logprob).toBeCloseTo(logprob(part.token), 5);
      expect(part.top!.map(({ token }) => token)).toEqual(best);
      for (const one of part.top!) expect(one.logprob).toBeCloseTo(logprob(one.token), 5);
    }
    expect(i).toBe(written.length);
  });

  it("are told only where they are asked for", async () => {
    const model = await load(gguf);
    for await (const part of model.generate([5, 9], greedy))
      expect(Object.keys(part)).toEqual(["text", "token"]);
    for await (const part of model.generate([5, 9], { ...greedy, maxTokens: 3, logprobs: 0 })) {
      expect(part.top).toEqual([]);
    }
  });
});

describe("a sampler of the caller's", () => {
  it("chooses the tokens, and is told all that came before", async () => {
    const model = await loadInThread(gguf);
    const seen: number[][] = [];
    const sampler = (logits: Float32Array, { tokens }: { tokens: readonly number[] }) => {
      seen.push([...tokens]);
      return logits.indexOf(Math.max(...logits));
    };
    const { tokens } = await model.generate([5, 9], { sampler, maxTokens: 5 });
    expect(tokens).toEqual((await model.generate([5, 9], { temperature: 0, maxTokens: 5 })).tokens);
    expect(seen).toEqual(tokens.map((_, i) => [5, 9, ...tokens.slice(0, i)]));
  });

  it("ends the generation with what it throws, and the model goes on", async () => {
    const model = await loadInThread(gguf);
    const sampler = () => {
      throw new Error("no idea");
    };
    await expect((async () => await model.generate([5], { sampler }))()).rejects.toThrow("no idea");
    expect((await model.generate("a", greedy)).tokens.length).toBeGreaterThan(0);
  });

  it("is refused where it could not be called: by a model in a worker", async () => {
    const model = await load(gguf);
    expect(() => model.generate([5], { sampler: () => 1 })).toThrow(/sampler.*loadInThread/);
  });
});

describe("penalties", () => {
  it("count the prompt's tokens and the written ones: a greedy text repeats none", async () => {
    const model = await load(gguf);
    const options = { ...greedy, presencePenalty: 1000, penaltyLastN: 100 };
    const { promptTokens, tokens } = await model.generate("ab c", options);
    expect(new Set([...promptTokens, ...tokens]).size).toBe(new Set(promptTokens).size + tokens.length);
  });
});
