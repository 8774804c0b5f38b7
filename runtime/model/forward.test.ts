import { describe, expect, it } from "vitest";
import { debug } from "../../kernels/generated/debug.js";
import { maxError } from "../../test/kernel-lab.js";
import { randomCheckpoint, smallConfig } from "../../test/random-model.js";
import { referenceLogits } from "../../test/reference-model.js";
import type { Checkpoint, ModelConfig } from "../formats/checkpoint.js";
import type { TensorType } from "../formats/tensor-types.js";
import { builds } from "../memory/builds.js";
import { inflateModule } from "../memory/kernel-module.js";
import { forward } from "./forward.js";
import { type Llama, type LlamaOptions, loadLlama } from "./llama.js";

const ids = [1, 5, 9, 2, 33, 7, 7, 41, 0, 13, 8, 21, 47, 3, 19];

function load(checkpoint: Checkpoint, options: Partial<LlamaOptions> = {}): Promise<Llama> {
  return loadLlama(checkpoint, {
    contextLength: checkpoint.config.contextLength,
    cacheType: "f32",
    ...options,
  });
}

/** Logits of every position, fed in chunks. */
function allLogits(llama: Llama, tokens: readonly number[], chunk: number): Float32Array {
  const { vocabSize } = llama.config;
  const logits = new Float32Array(tokens.length * vocabSize);
  for (let position = 0; position < tokens.length; position += chunk) {
    logits.set(
      forward(llama, tokens.slice(position, position + chunk), position, { logitsFrom: 0 }),
      position * vocabSize,
    );
  }
  return logits;
}

/** A small config whose rows are whole blocks of the type. */
function configFor(type: TensorType, changes: Partial<ModelConfig> = {}): ModelConfig {
  return smallConfig(type.endsWith("_K") ? { dim: 256, hiddenDim: 512, ...changes } : changes);
}

/** The types of a file that is called Q4_K_M: some layers' values and down projections, and the classifier, in Q6_K. */
function mixed(name: string): TensorType {
  return /output.weight|blk.0.(attn_v|ffn_down)/.test(name) ? "Q6_K" : "Q4_K";
}

const shapes: Record<string, Partial<ModelConfig>> = {
  "one head for each query (MHA)": { nKvHeads: 4 },
  "grouped queries (GQA 2:1)": { nKvHeads: 2 },
  "one kv head for all queries (MQA)": { nKvHeads: 1 },
  "a head size that is not dim / heads": { headDim: 24, ropeDim: 24 },
  "rope on a part of each head": { ropeDim: 8 },
  "another rope base and epsilon": { ropeBase: 1e6, normEps: 1e-6 },
  "a vocabulary that is no multiple of 8": { vocabSize: 51 },
};

describe("forward against the float64 reference model", () => {
  it.each(Object.entries(shapes))("F32 with %s: logits within 1e-4", async (_, changes) => {
    for (const tied of [false, true]) {
      const checkpoint = randomCheckpoint({ config: smallConfig(changes), type: "F32", seed: 3, tied });
      const expected = await referenceLogits(checkpoint, ids);
      const found = allLogits(await load(checkpoint), ids, ids.length);
      expect(
        maxError(
          found,
          expected.flatMap((row) => [...row]),
        ),
      ).toBeLessThan(1e-4);
    }
  });

  it.each([2, 4, 6, 8, 14, 32, 64, 80, 128])("F32 with head size %i: logits within 1e-4", async (headDim) => {
    const config = smallConfig({ headDim, ropeDim: headDim, nHeads: 2, nKvHeads: 1, dim: 12, hiddenDim: 20 });
    const checkpoint = randomCheckpoint({ config, type: "F32", seed: headDim });
    const expected = await referenceLogits(checkpoint, ids);
    expect(
      maxError(
        allLogits(await load(checkpoint), ids, 4),
        expected.flatMap((row) => [...row]),
      ),
    ).toBeLessThan(1e-4);
  });

  // F16 and BF16 weights are used without further rounding. The others quantize the activations to int8, which the
  // reference does not: half a step of 1/127 of a block's largest value, in every matrix. Blocks of 256 have larger ones.
  it.each([
    ["F16", 1e-4],
    ["BF16", 1e-4],
    ["Q8_0", 0.15],
    ["Q4_0", 0.15],
    ["Q4_1", 0.15],
    ["Q5_0", 0.15],
    ["Q5_1", 0.15],
    ["IQ4_NL", 0.15],
    ["Q2_K", 0.15],
    ["Q3_K", 0.15],
    ["Q4_K", 0.15],
    ["Q5_K", 0.15],
    ["Q6_K", 0.15],
  ] as const)("%s: logits within %f of the reference on the same weights", async (type, tolerance) => {
    const checkpoint = randomCheckpoint({ config: configFor(type), type, seed: 5 });
    const expected = await referenceLogits(checkpoint, ids);
    const error = maxError(
      allLogits(await load(checkpoint), ids, ids.length),
      expected.flatMap((row) => [...row]),
    );
    expect(error).toBeLessThan(tolerance);
  });

  it.each([
    ["f16", 0.02],
    ["q8_0", 0.1],
  ] as const)("F32 with a cache of %s: logits within %f", async (cacheType, tolerance) => {
    const checkpoint = randomCheckpoint({ config: smallConfig(), type: "F32", seed: 5 });
    const expected = await referenceLogits(checkpoint, ids);
    const error = maxError(
      allLogits(await load(checkpoint, { cacheType }), ids, ids.length),
      expected.flatMap((row) => [...row]),
    );
    expect(error).toBeGreaterThan(1e-5);
    expect(error).toBeLessThan(tolerance);
  });

  it("Q4_K and Q6_K matrices that share an input: logits within 0.15", async () => {
    const checkpoint = randomCheckpoint({ config: configFor("Q4_K"), type: mixed, seed: 6 });
    const expected = await referenceLogits(checkpoint, ids);
    const found = allLogits(await load(checkpoint), ids, 7);
    expect(
      maxError(
        found,
        expected.flatMap((row) => [...row]),
      ),
    ).toBeLessThan(0.15);
    expect(allLogits(await load(checkpoint), ids, 1)).toEqual(found);
  });
});

describe("forward gives the same bits", () => {
  const types: readonly TensorType[] = [
    "F32",
    "F16",
    "Q8_0",
    "Q4_0",
    "Q4_1",
    "Q5_1",
    "Q2_K",
    "Q4_K",
    "Q5_K",
    "Q6_K",
  ];

  it.each(types)("%s: at once, in chunks of 7 and 4, and one by one", async (type) => {
    const llama = await load(randomCheckpoint({ config: configFor(type), type, seed: 7 }));
    const whole = allLogits(llama, ids, ids.length);
    for (const chunk of [7, 4, 1]) expect(allLogits(llama, ids, chunk)).toEqual(whole);
  });

  it.each(types)("%s: in every build", async (type) => {
    const checkpoint = randomCheckpoint({ config: configFor(type), type, seed: 8 });
    const [simd, ...others] = await Promise.all(
      builds.map(async (build) => allLogits(await load(checkpoint, { build }), ids, 7)),
    );
    for (const logits of others) expect(logits).toEqual(simd);
  });

  // large enough that threads share the matrices, the attention and the norms
  it.each(types)("%s: with one thread, with two and with four on fewer cores", async (type) => {
    const config = smallConfig({
      dim: 512,
      hiddenDim: 1024,
      nHeads: 8,
      nKvHeads: 4,
      nLayers: 2,
      contextLength: 160,
    });
    const checkpoint = randomCheckpoint({ config, type, seed: 12 });
    const tokens = Array.from({ length: 150 }, (_, i) => (i * 7) % 48);
    const results = [];
    for (const threads of [1, 2, 4]) {
      const llama = await load(checkpoint, { threads, cacheType: "f16" });
      try {
        expect(llama.threads).toBe(threads);
        const found = allLogits(llama, tokens, 64);
        expect(allLogits(llama, tokens.slice(0, 9), 1)).toEqual(found.slice(0, 9 * config.vocabSize));
        results.push(found);
      } finally {
        await llama.dispose();
      }
    }
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
  });

  it.each([false, true])("over one, two, three and more stages (tied classifier: %s)", async (tied) => {
    const config = smallConfig({ nLayers: 5, vocabSize: 480 });
    const checkpoint = randomCheckpoint({ config, type: "F32", seed: 9, tied });
    const whole = await load(checkpoint, { batch: 8 });
    const expected = allLogits(whole, ids, 8);
    const seen = new Set<number>();
    const size = whole.plan.totalBytes;
    for (let limit = size; limit > size / 4; limit -= 65_536) {
      const split = await load(checkpoint, { batch: 8, maxStageBytes: limit }).catch(() => undefined);
      if (!split || seen.has(split.stages.length)) continue;
      seen.add(split.stages.length);
      expect(allLogits(split, ids, 8)).toEqual(expected);
    }
    expect(Math.max(...seen)).toBeGreaterThanOrEqual(3);
  });

  it("when a sequence follows another one in the same cache", async () => {
    const llama = await load(randomCheckpoint({ config: smallConfig(), type: "F16", seed: 10 }));
    const first = allLogits(llama, ids, 5);
    allLogits(llama, [...ids].reverse(), 5);
    expect(allLogits(llama, ids, 5)).toEqual(first);
  });
});

describe("forward in the debug build", () => {
  it.each(["F32", "F16", "Q8_0", "Q4_0", "Q4_1", "Q5_1", "Q2_K", "Q4_K", "Q5_K", "Q6_K"] as const)(
    "%s: no assertion fails and no guard zone is touched",
    async (type) => {
      const module = await WebAssembly.compile(await inflateModule(debug));
      const config = configFor(type, {
        vocabSize: 51,
        ...(!type.endsWith("_K") && { hiddenDim: type.startsWith("Q") ? 96 : 37 }),
      });
      const checkpoint = randomCheckpoint({ config, type, seed: 11 });
      const guarded = await load(checkpoint, { module, guardBytes: 64 });
      expect(guarded.plan.stages[0]?.guards.length).toBeGreaterThan(20);
      expect(allLogits(guarded, ids, 7)).toEqual(allLogits(await load(checkpoint), ids, 7));
    },
  );
});

describe("forward refuses", () => {
  const loaded = load(
    randomCheckpoint({ config: smallConfig({ contextLength: 16 }), type: "F32", seed: 1 }),
    { batch: 8 },
  );

  it.each([
    ["no ids", [], 0, /expected 1 to 8 ids/],
    ["more ids than the batch", Array(9).fill(1), 0, /expected 1 to 8 ids at once, found 9/],
    ["an id past the vocabulary", [48], 0, /token 48: expected an id from 0 to 47/],
    ["a negative id", [-1], 0, /token -1/],
    ["an id that is no integer", [1.5], 0, /token 1.5/],
    ["positions past the context", [1, 2], 15, /16/],
    ["a negative position", [1], -1, /-1/],
  ])("%s", async (_, bad, position, message) => {
    const llama = await loaded;
    expect(() => forward(llama, bad as number[], position)).toThrow(RangeError);
    expect(() => forward(llama, bad as number[], position)).toThrow(message);
  });

  it("a memory cannot grow, so no view of it goes stale", async () => {
    const { memory } = (await loaded).embedding.stage;
    expect(() => memory.grow(1)).toThrow(RangeError);
  });
});
