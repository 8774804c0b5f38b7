import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { debug } from "../../kernels/generated/debug.js";
import { maxError } from "../../test/kernel-lab.js";
import { randomCheckpoint, smallConfig } from "../../test/random-model.js";
import { referenceLogits } from "../../test/reference-model.js";
import { OutOfMemoryError } from "../errors.js";
import type { Checkpoint, ModelConfig } from "../formats/checkpoint.js";
import type { TensorType } from "../formats/tensor-types.js";
import { builds } from "../memory/choices.js";
import { inflateModule } from "../memory/kernel-module.js";
import { type PlanOptions, planModel } from "../memory/plan.js";
import { PAGE_BYTES } from "../memory/slots.js";
import { forward, forwardAsync } from "./forward.js";
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

/** Of many logits: to compare 90,000 numbers one by one takes longer than to compute them. */
function hash(logits: Float32Array): string {
  const bytes = new Uint8Array(logits.buffer, logits.byteOffset, logits.byteLength);
  return createHash("sha256").update(bytes).digest("hex");
}

/** Limits of a stage's bytes by the number of stages that a model then takes: the largest for each. */
function stageLimits(checkpoint: Checkpoint, options: Partial<PlanOptions>): Map<number, number> {
  const { contextLength } = checkpoint.config;
  const limits = new Map<number, number>();
  for (let pages = 400; pages > 0; pages--) {
    const maxStageBytes = pages * PAGE_BYTES;
    try {
      const plan = planModel(checkpoint, { contextLength, cacheType: "f32", ...options, maxStageBytes });
      if (!limits.has(plan.stages.length)) limits.set(plan.stages.length, maxStageBytes);
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
      break;
    }
  }
  return limits;
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

  // a vocabulary of several layers' size, so that the smallest stages cut the embedding and the classifier by rows
  const staged = { nLayers: 6, vocabSize: 6003, dim: 128, hiddenDim: 256, contextLength: 40 };

  it.each([
    ["F32", false, 1],
    ["F32", true, 1],
    ["Q4_0", false, 2],
    ["Q8_0", true, 2],
  ] as const)(
    "%s over one stage, two, three, five and more (tied classifier: %s, threads: %i)",
    async (type, tied, threads) => {
      const config = smallConfig(staged);
      const checkpoint = randomCheckpoint({ config, type, seed: 9, tied });
      const options = { batch: 8, threads };
      const whole = await load(checkpoint, options);
      expect(whole.stages.length).toBe(1);
      const expected = allLogits(whole, ids, 8);
      await whole.dispose();
      let cut = false;
      const limits = stageLimits(checkpoint, options);
      expect([...limits.keys()]).toEqual(expect.arrayContaining([1, 2, 3, 5]));
      for (const count of [2, 3, 5, Math.max(...limits.keys())]) {
        const maxStageBytes = limits.get(count);
        const split = await load(checkpoint, { ...options, maxStageBytes });
        try {
          expect(split.stages.length).toBe(count);
          expect(hash(allLogits(split, ids, 8))).toBe(hash(expected));
          const first = expected.subarray(0, 5 * config.vocabSize);
          expect(hash(allLogits(split, ids.slice(0, 5), 1))).toBe(hash(first));
          cut ||= split.embedding.length > 1 && split.heads.length > 1;
        } finally {
          await split.dispose();
        }
      }
      expect(cut).toBe(true);
    },
  );

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

  it("over several stages, the embedding and the classifier cut by rows", async () => {
    const module = await WebAssembly.compile(await inflateModule(debug));
    const config = smallConfig({
      nLayers: 3,
      vocabSize: 12_003,
      dim: 128,
      hiddenDim: 256,
      contextLength: 16,
    });
    const checkpoint = randomCheckpoint({ config, type: "Q8_0", seed: 14 });
    const options = { guardBytes: 64, batch: 7 };
    const maxStageBytes = Math.min(...stageLimits(checkpoint, options).values());
    const guarded = await load(checkpoint, { ...options, module, maxStageBytes });
    expect(guarded.embedding.length).toBeGreaterThan(1);
    expect(guarded.heads.length).toBeGreaterThan(1);
    expect(hash(allLogits(guarded, ids, 7))).toBe(hash(allLogits(await load(checkpoint), ids, 7)));
  });
});

describe("forwardAsync with streamed layers", () => {
  const config = smallConfig({ dim: 256, hiddenDim: 512, nLayers: 5, vocabSize: 100 });
  const checkpoint = randomCheckpoint({ config, type: mixed, seed: 21 });
  const expected = load(checkpoint).then((llama) => allLogits(llama, ids, 7));

  /** Logits of every position, fed in chunks. */
  async function streamedLogits(llama: Llama, chunk: number): Promise<Float32Array> {
    const logits = new Float32Array(ids.length * config.vocabSize);
    for (let position = 0; position < ids.length; position += chunk) {
      const fed = ids.slice(position, position + chunk);
      logits.set(await forwardAsync(llama, fed, position, { logitsFrom: 0 }), position * config.vocabSize);
    }
    return logits;
  }

  it.each([
    [1, 1, "one stage"],
    [2, 2, "one stage"],
    [5, 1, "one stage"],
    [5, 2, "one stage"],
    [4, 1, "several stages"],
    [4, 2, "several stages"],
  ])("%i of 5, %i threads, in %s: the same bits as from memory", async (streamedLayers, threads, where) => {
    const options = { streamedLayers, threads, batch: 15, contextLength: 1024 };
    const [whole, ...smaller] = stageLimits(checkpoint, options).values();
    const maxStageBytes = where === "one stage" ? whole : smaller.at(-1);
    const llama = await load(checkpoint, { ...options, maxStageBytes });
    try {
      const stages = llama.plan.stages.filter(({ layers, streamedFrom }) => layers.length > streamedFrom);
      expect(stages.length > 1).toBe(where === "several stages");
      for (const chunk of [7, 15, 1]) expect(await streamedLogits(llama, chunk)).toEqual(await expected);
    } finally {
      await llama.dispose();
    }
  });

  it("touches no guard zone in the debug build", async () => {
    const module = await WebAssembly.compile(await inflateModule(debug));
    const llama = await load(checkpoint, { streamedLayers: 3, guardBytes: 64, module });
    expect(await streamedLogits(llama, 7)).toEqual(await expected);
  });

  /** The checkpoint, with something done before each read. */
  const reading = (before: (name: string) => void): Checkpoint => ({
    ...checkpoint,
    async readRows(tensor, begin, end) {
      before(tensor.name);
      return checkpoint.readRows(tensor, begin, end);
    },
  });

  it("reads the next layer while one is computed, and none beyond", async () => {
    let read = new Set<string>();
    const llama = await load(
      reading((name) => read.add(name)),
      { streamedLayers: 3 },
    );
    expect([...read].some((name) => /^blk\.[234]/.test(name))).toBe(false);
    const seen: string[] = [];
    for (let pass = 0; pass < 2; pass++) {
      const wait = async (arrival: Promise<void>) => {
        await arrival;
        seen.push([...read].sort().join(" "));
        read = new Set();
      };
      await forwardAsync(llama, [1], pass, { wait });
    }
    const layer = (i: number) =>
      [...checkpoint.tensors.keys()]
        .filter((name) => name.startsWith(`blk.${i}.`))
        .sort()
        .join(" ");
    const first = [...checkpoint.tensors.keys()].filter((name) => !/^blk\.4/.test(name)).sort();
    expect(seen).toEqual([first.join(" "), layer(4), layer(2), layer(3), layer(4), layer(2)]);
  });

  it("a read that fails ends the pass with its error, and the next pass gives the same bits", async () => {
    let left = Number.POSITIVE_INFINITY;
    const failing = reading((name) => {
      if (left-- === 0) throw new Error(`no ${name}`);
    });
    const llama = await load(failing, { streamedLayers: 3 });
    for (const reads of [0, 3, 9, 20, 29]) {
      left = reads;
      await expect(streamedLogits(llama, 5)).rejects.toThrow(/^no blk\./);
      expect(await streamedLogits(llama, 5)).toEqual(await expected);
    }
  });

  it("an abort between two layers ends the pass, and the next one gives the same bits", async () => {
    const llama = await load(checkpoint, { streamedLayers: 4 });
    let rests = 0;
    const wait = async (arrival: Promise<void>) => {
      await arrival;
      if (++rests === 3) throw new Error("enough");
    };
    await expect(forwardAsync(llama, ids, 0, { logitsFrom: 0, wait })).rejects.toThrow("enough");
    expect(await streamedLogits(llama, 15)).toEqual(await expected);
  });

  it("an infinity in a streamed layer is a NumericError that names the tensor", async () => {
    let spoilt = false;
    const llama = await load(
      {
        ...checkpoint,
        async readRows(tensor, begin, end) {
          const bytes = (await checkpoint.readRows(tensor, begin, end)).slice();
          if (spoilt && tensor.name === "blk.3.ffn_norm.weight")
            new DataView(bytes.buffer).setFloat32(8, Infinity, true);
          return bytes;
        },
      },
      { streamedLayers: 2 },
    );
    spoilt = true;
    await expect(streamedLogits(llama, 15)).rejects.toThrow(
      /blk\.3\.ffn_norm\.weight holds an infinity or a NaN/,
    );
  });

  it("forward itself refuses them", async () => {
    const llama = await load(checkpoint, { streamedLayers: 2 });
    expect(() => forward(llama, ids, 0)).toThrow(/found 2 streamed layers; use forwardAsync/);
  });
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
    const { memory } = (await loaded).embedding[0]!.matrix.stage;
    expect(() => memory.grow(1)).toThrow(RangeError);
  });
});
