// Real models against what others computed with them. Skipped where the folder of shared data is missing.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { maxError } from "../../test/kernel-lab.js";
import { referenceLogits } from "../../test/reference-model.js";
import { sharedData } from "../../test/shared-data.js";
import { openCheckpoint } from "../formats/open.js";
import { fileSource } from "../formats/source.js";
import { type Build, builds, type CacheType } from "../memory/choices.js";
import { forward } from "../model/forward.js";
import { type Llama, loadLlama } from "../model/llama.js";
import { greedy } from "../sampling/greedy.js";
import { load } from "./load.js";

const folder = sharedData("models/stories260K");
const fixtures = sharedData("models/hf-fixtures");
const bin = `${folder}/stories260K.bin`;
const gguf = `${folder}/stories260K.gguf`;

/** What karpathy's run.c printed: 200 steps at temperature 0 from an empty prompt. */
const golden = folder ? readFileSync(`${folder}/greedy-n200.txt`, "utf8").trimEnd() : "";

/** Keys and values in f32, as the references keep them, unless it says so. */
async function loadFile(
  path: string,
  contextLength?: number,
  build?: Build,
  cacheType: CacheType = "f32",
): Promise<Llama> {
  const source = await fileSource(path);
  try {
    const checkpoint = await openCheckpoint(source);
    return await loadLlama(checkpoint, {
      contextLength: contextLength ?? checkpoint.config.contextLength,
      build,
      cacheType,
    });
  } finally {
    await source.close();
  }
}

/** Logits of every position, fed in chunks. */
function logitsOf(llama: Llama, ids: readonly number[], chunk = llama.plan.batch): Float32Array {
  const { vocabSize } = llama.config;
  const all = new Float32Array(ids.length * vocabSize);
  for (let at = 0; at < ids.length; at += chunk) {
    all.set(forward(llama, ids.slice(at, at + chunk), at, { logitsFrom: 0 }), at * vocabSize);
  }
  return all;
}

async function story(path: string, build: Build) {
  const model = await load(path, { build, contextLength: 512, tokenizer: `${folder}/tok512.bin` });
  return model.generate("", { temperature: 0, maxTokens: 200 });
}

describe.skipIf(!folder)("stories260K", () => {
  it.each(
    [bin, gguf].flatMap((path) => builds.map((build) => [path.replace(/.*\//, ""), build, path] as const)),
  )("%s in the %s build writes the 200 tokens that run.c writes", async (_, build, path) => {
    const { text, tokens, finishReason } = await story(path, build);
    expect(text).toBe(golden);
    expect(tokens).toHaveLength(200);
    expect(finishReason).toBe("length");
  });

  it("the GGUF writes them with its own vocabulary as well", async () => {
    const model = await load(gguf);
    expect((await model.generate("", { temperature: 0, maxTokens: 200 })).text).toBe(golden);
  });

  it.each(builds)(
    "continues the first 100 of them alike, fed at once, in sevens and singly (%s)",
    async (build) => {
      const { tokens } = await story(gguf, build);
      const llama = await loadFile(gguf, 512, build, "f16");
      const prompt = [1, ...tokens.slice(0, 100)];
      for (const chunk of [llama.plan.batch, 7, 1]) {
        let logits = logitsOf(llama, prompt, chunk).subarray(-llama.config.vocabSize);
        const continued: number[] = [];
        for (let position = prompt.length; continued.length < 100; position++) {
          continued.push(greedy(logits));
          logits = forward(llama, [continued.at(-1)!], position);
        }
        expect(continued).toEqual(tokens.slice(100));
      }
      const model = await load(gguf, { build, contextLength: 512 });
      expect((await model.generate(prompt, { temperature: 0, maxTokens: 100 })).tokens).toEqual(
        tokens.slice(100),
      );
    },
  );

  it("has bit-identical logits as .bin, as GGUF and as export v1, within 1e-4 of float64", async () => {
    const { tokens } = await story(bin, "simd");
    const ids = [1, ...tokens.slice(0, 119)];
    const logits = logitsOf(await loadFile(bin, 512), ids);
    expect(logitsOf(await loadFile(gguf, 512), ids)).toEqual(logits);
    expect(logitsOf(await loadFile(`${folder}/stories260K-export-v1.bin`, 512), ids)).toEqual(logits);

    const source = await fileSource(bin);
    const expected = await referenceLogits(await openCheckpoint(source), ids);
    await source.close();
    expect(
      maxError(
        logits,
        expected.flatMap((row) => [...row]),
      ),
    ).toBeLessThan(1e-4);
  });
});

interface Fixture {
  readonly sequences: number[][];
  readonly logits: number[][][];
}

describe.skipIf(!fixtures)("hf-fixtures", () => {
  const expected: Fixture = fixtures
    ? JSON.parse(readFileSync(`${fixtures}/tiny_llama_logits.json`, "utf8"))
    : { sequences: [], logits: [] };

  // the reference computed with F32 weights: the F16 file's are rounded to 11 bits each, and the logits reach 4
  it.each([
    ["tiny_llama_f32.gguf", 1e-5],
    ["tiny_llama_f16.gguf", 1e-2],
  ] as const)("%s has the logits of Hugging Face's implementation, within %f", async (name, tolerance) => {
    const llama = await loadFile(`${fixtures}/${name}`);
    expect(expected.sequences.length).toBeGreaterThan(0);
    expected.sequences.forEach((ids, i) => {
      expect(maxError(logitsOf(llama, ids, 5), expected.logits[i]!.flat())).toBeLessThan(tolerance);
    });
  });

  // activations are rounded to int8, which the reference does not do
  it("tiny_llama_q8.gguf has logits within 2 % of float64 on the same weights", async () => {
    const ids = [1, 5, 2, 7, 0, 3, 3, 6];
    const source = await fileSource(`${fixtures}/tiny_llama_q8.gguf`);
    const checkpoint = await openCheckpoint(source);
    const reference = await referenceLogits(checkpoint, ids);
    const llama = await loadLlama(checkpoint, { contextLength: 16, cacheType: "f32" });
    await source.close();
    const flat = reference.flatMap((row) => [...row]);
    const largest = Math.max(...flat.map(Math.abs));
    expect(maxError(logitsOf(llama, ids), flat) / largest).toBeLessThan(0.02);
  });
});
