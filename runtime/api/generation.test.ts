import { describe, expect, it } from "vitest";
import { createGeneration, type GenerationResult, generationResult, type Part } from "./generation.js";

const told = { text: "ab", tokens: [7, 8], promptTokens: [1, 2, 3], seed: 5 };
const timings = { promptMs: 30, decodeMs: 10, decodeSteps: 1 };

async function* twoParts(): AsyncGenerator<Part, GenerationResult, undefined> {
  yield { text: "a", token: 7 };
  yield { text: "b", token: 8 };
  return generationResult({ ...told, endedBy: "eos" }, timings, 0);
}

describe("a Generation", () => {
  it("gives parts when it is iterated over, and then the result when it is awaited", async () => {
    const generation = createGeneration(twoParts);
    const texts: string[] = [];
    for await (const { text } of generation) texts.push(text);
    expect(texts).toEqual(["a", "b"]);
    expect((await generation).text).toBe("ab");
  });

  it("gives the result when it is only awaited, any number of times", async () => {
    const generation = createGeneration(twoParts);
    expect((await generation).tokens).toEqual([7, 8]);
    expect((await generation).finishReason).toBe("stop");
  });

  it("computes nothing before it is asked for", async () => {
    let begun = false;
    const generation = createGeneration(async function* () {
      begun = true;
      return yield* twoParts();
    });
    await new Promise((resolve) => setTimeout(resolve, 1));
    expect(begun).toBe(false);
    await generation;
    expect(begun).toBe(true);
  });

  it("throws an error where it is iterated, and again where it is awaited", async () => {
    // biome-ignore lint/correctness/useYield: it fails before the first part
    const generation = createGeneration(async function* () {
      throw new RangeError("out of range");
    });
    await expect(generation[Symbol.asyncIterator]().next()).rejects.toThrow("out of range");
    await expect((async () => await generation)()).rejects.toThrow(RangeError);
  });

  it("can be left early, which runs the source's clean-up and leaves no result", async () => {
    let cleaned = false;
    const generation = createGeneration(async function* () {
      try {
        return yield* twoParts();
      } finally {
        cleaned = true;
      }
    });
    for await (const _ of generation) break;
    expect(cleaned).toBe(true);
    await expect((async () => await generation)()).rejects.toThrow("left before the text ended");
  });

  it("can be left before its first part", async () => {
    const generation = createGeneration(twoParts);
    await generation[Symbol.asyncIterator]().return?.();
    await expect((async () => await generation)()).rejects.toThrow("left before the text ended");
  });

  it("can be read as a stream, of which nothing is computed ahead", async () => {
    let yielded = 0;
    const generation = createGeneration(async function* () {
      const parts = twoParts();
      for (;;) {
        const step = await parts.next();
        if (step.done) return step.value;
        yielded++;
        yield step.value;
      }
    });
    const reader = generation.toReadableStream().getReader();
    await new Promise((resolve) => setTimeout(resolve, 1));
    expect(yielded).toBe(0);
    expect(await reader.read()).toEqual({ done: false, value: { text: "a", token: 7 } });
    expect(yielded).toBe(1);
    expect((await reader.read()).value?.text).toBe("b");
    expect((await reader.read()).done).toBe(true);
    expect((await generation).text).toBe("ab");
  });

  it("leaves the source when its stream is cancelled, and fails the stream with the source's error", async () => {
    let cleaned = false;
    const generation = createGeneration(async function* () {
      try {
        return yield* twoParts();
      } finally {
        cleaned = true;
      }
    });
    const reader = generation.toReadableStream().getReader();
    await reader.read();
    await reader.cancel();
    expect(cleaned).toBe(true);
    // biome-ignore lint/correctness/useYield: it fails before the first part
    const failing = createGeneration(async function* () {
      throw new RangeError("out of range");
    });
    await expect(failing.toReadableStream().getReader().read()).rejects.toThrow(RangeError);
  });

  it("is iterated once only", async () => {
    const generation = createGeneration(twoParts);
    await generation;
    expect(() => generation[Symbol.asyncIterator]()).toThrow(TypeError);
    expect(() => generation.toReadableStream()).toThrow(TypeError);
  });
});

describe("generationResult()", () => {
  it.each([
    ["eos", "stop"],
    ["eot", "stop"],
    ["stopString", "stop"],
    ["bos", "stop"],
    ["maxTokens", "length"],
    ["context", "length"],
  ] as const)("calls an end by %s %s", (endedBy, finishReason) => {
    expect(generationResult({ ...told, endedBy }, timings, 0)).toMatchObject({ endedBy, finishReason });
  });

  it("counts the tokens that were used", () => {
    expect(generationResult({ ...told, endedBy: "eos" }, timings, 1).usage).toEqual({
      promptTokens: 3,
      completionTokens: 2,
      totalTokens: 5,
      cachedTokens: 1,
    });
  });

  it("counts speeds by the passes that were made, and 0 where there were none", () => {
    const { timings: speeds } = generationResult({ ...told, endedBy: "eos" }, timings, 0);
    expect(speeds).toEqual({
      promptMs: 30,
      promptTokensPerSecond: 100,
      decodeMs: 10,
      decodeTokensPerSecond: 100,
    });
    const none = generationResult(
      { ...told, endedBy: "eos" },
      { promptMs: 30, decodeMs: 0, decodeSteps: 0 },
      0,
    );
    expect(none.timings.decodeTokensPerSecond).toBe(0);
    const cached = generationResult({ ...told, endedBy: "eos" }, timings, 2);
    expect(cached.timings.promptTokensPerSecond).toBeCloseTo(100 / 3); // one of three was computed
  });
});
