import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { header, llama } from "../../test/model-header.js";
import { smallConfig } from "../../test/random-model.js";
import { OutOfMemoryError } from "../errors.js";
import type { Checkpoint, ModelConfig } from "../formats/checkpoint.js";
import type { TensorType } from "../formats/tensor-types.js";
import { cacheTypes } from "./choices.js";
import { cacheRowBytes } from "./kv-cache.js";
import { type Plan, packedTypes, planModel } from "./plan.js";
import { type CacheSlot, type MatrixSlot, PAGE_BYTES, type StagePlan, type TensorSlot } from "./slots.js";
import { packedBytes } from "./tensor.js";

/** Bytes [begin, end) of a memory. */
interface Extent {
  readonly begin: number;
  readonly end: number;
}

/** What the slots within an object take, by their own shapes. */
function extents(within: object): Extent[] {
  const found: Extent[] = [];
  const visit = (value: unknown) => {
    if (typeof value !== "object" || value === null) return;
    if ("address" in value) found.push(extentOf(value as AnySlot));
    else for (const inner of Object.values(value)) visit(inner);
  };
  visit(within);
  return found;
}

type AnySlot = TensorSlot | MatrixSlot | CacheSlot | { readonly address: number; readonly bytes: number };

function extentOf(slot: AnySlot): Extent {
  const { address: begin } = slot;
  if ("shape" in slot)
    return { begin, end: begin + 4 * slot.shape.reduce((product, size) => product * size, 1) };
  if ("rows" in slot) return { begin, end: begin + packedBytes(slot.type, slot.rows, slot.cols) };
  if ("bytes" in slot) return { begin, end: begin + slot.bytes };
  const { type, heads, contextLength, headDim } = slot;
  return { begin, end: begin + heads * contextLength * cacheRowBytes(type, headDim) };
}

/** Fails where two extents share a byte, or one is outside the stage's memory or in its first page, which is the module's. */
function expectApart(stage: StagePlan, slots: readonly Extent[]): void {
  let end = PAGE_BYTES;
  for (const extent of slots.toSorted((a, b) => a.begin - b.begin)) {
    expect(extent.begin).toBeGreaterThanOrEqual(end);
    expect(extent.begin % 64).toBe(0);
    end = extent.end;
  }
  expect(end).toBeLessThanOrEqual(stage.pages * PAGE_BYTES);
}

/** Checks a plan for what every plan must be: each part once and in its order, no two in one place, no stage above the limit. */
function expectSound(
  plan: Plan,
  { config, tensors }: Checkpoint,
  maxStageBytes = 2 ** 32 - PAGE_BYTES,
): void {
  const tied = !tensors.has("output.weight");
  let layers = 0;
  const rows = { embedding: 0, output: 0 };
  for (const stage of plan.stages) {
    expect(stage.pages * PAGE_BYTES).toBeLessThanOrEqual(maxStageBytes);
    if (stage.layers.length) expect(stage.firstLayer).toBe(layers);
    layers += stage.layers.length;
    for (const [kind, slot] of [
      ["embedding", stage.embedding],
      ["output", stage.head?.output],
    ] as const) {
      if (!slot) continue;
      expect(slot.firstRow).toBe(rows[kind]);
      expect(slot.firstRow % 8).toBe(0);
      rows[kind] += slot.rows;
      // the rows are there before any layer, or after all of them
      if (kind === "embedding") expect(layers).toBe(stage.layers.length);
      else if (!tied) expect(layers).toBe(config.nLayers);
    }
    if (stage.head) expect(stage.head.output === stage.embedding).toBe(tied);

    // streamed layers take turns in one place
    const kept = stage.layers.slice(0, stage.streamedFrom);
    const streamed = stage.layers.slice(stage.streamedFrom);
    const caches = streamed.flatMap(({ keys, values }) => [keys, values]);
    const { head, embedding, rope, scratch, attention, encoded, staging } = stage;
    const ends = tied ? [embedding, head?.norm, head?.logits] : [embedding, head];
    const others = [kept, caches, ends, rope, scratch, attention, encoded, staging];
    expectApart(stage, extents(others));
    for (const { keys: _, values: __, ...weights } of streamed)
      expectApart(stage, extents([others, weights]));
  }
  expect(layers).toBe(config.nLayers);
  expect(rows).toEqual({ embedding: config.vocabSize, output: config.vocabSize });
  const streamed = plan.stages.reduce(
    (sum, { layers, streamedFrom }) => sum + layers.length - streamedFrom,
    0,
  );
  expect(streamed).toBe(plan.streamedLayers);
}

describe("planModel()", () => {
  it.each([
    ["7B", "Q4_0"],
    ["7B", "F16"],
    ["13B", "Q4_0"],
    ["70B", "Q4_0"],
  ] as const)(
    "lays Llama 2 %s in %s over stages of less than 4 GiB, every layer once and in order",
    (name, type) => {
      const checkpoint = header(llama(name), type);
      expectSound(planModel(checkpoint, { contextLength: 4096 }), checkpoint);
    },
  );

  it("lays any model over stages of any size, on which it fits", () => {
    const models = fc.record({
      nLayers: fc.integer({ min: 1, max: 12 }),
      hiddenDim: fc.integer({ min: 1, max: 40 }).map((n) => 32 * n),
      vocabSize: fc.integer({ min: 9, max: 80_000 }),
      type: fc.constantFrom<TensorType>("F32", "F16", "Q8_0", "Q4_0", "Q5_0"),
      embedding: fc.constantFrom<TensorType>("F32", "Q8_0"),
      tied: fc.boolean(),
      cacheType: fc.constantFrom(...cacheTypes),
      contextLength: fc.integer({ min: 1, max: 64 }),
      threads: fc.integer({ min: 1, max: 4 }),
      batch: fc.integer({ min: 1, max: 64 }),
      streamed: fc.integer({ min: 0, max: 12 }),
      pages: fc.integer({ min: 12, max: 300 }),
    });
    let several = 0;
    let cut = 0;
    fc.assert(
      fc.property(models, ({ type, embedding, tied, streamed, pages, ...sizes }) => {
        const { nLayers, hiddenDim, vocabSize, ...options } = sizes;
        const checkpoint = header(smallConfig({ nLayers, hiddenDim, vocabSize }), type, tied, embedding);
        const streamedLayers = Math.min(streamed, nLayers);
        const maxStageBytes = pages * PAGE_BYTES + 100;
        const attempt = () => planModel(checkpoint, { ...options, streamedLayers, maxStageBytes });
        let plan: Plan;
        try {
          plan = attempt();
        } catch (error) {
          if (!(error instanceof OutOfMemoryError)) throw error;
          return;
        }
        expectSound(plan, checkpoint, maxStageBytes);
        if (plan.stages.length > 1) several++;
        if (plan.stages[0]!.embedding!.rows < vocabSize) cut++;
      }),
      { numRuns: 300 },
    );
    expect(several).toBeGreaterThan(20); // or the property says nothing
    expect(cut).toBeGreaterThan(5);
  });

  it("fills the stages about equally: none is more than a layer above the mean", () => {
    for (const [name, type, contextLength] of [
      ["7B", "Q4_0", 4096],
      ["13B", "Q4_0", 2048],
      ["70B", "Q4_0", 4096],
      ["70B", "Q8_0", 4096],
    ] as const) {
      const { stages, totalBytes } = planModel(header(llama(name), type), { contextLength });
      const sizes = stages.map(({ pages }) => pages * PAGE_BYTES);
      const layer = stages.map(({ bytes, layers }) => (bytes.weights + bytes.cache) / layers.length);
      expect(Math.max(...sizes)).toBeLessThan(totalBytes / stages.length + Math.max(...layer));
    }
  });

  it("cuts an embedding and a classifier that are larger than a stage by rows", () => {
    // 70B's shape with a vocabulary of 131,072, in F32: 4 GiB each
    const config = { ...llama("70B"), nLayers: 1, vocabSize: 131_072 };
    const checkpoint = header(config, "F32");
    const plan = planModel(checkpoint, { contextLength: 64 });
    expectSound(plan, checkpoint);
    expect(plan.stages.filter(({ embedding }) => embedding).map(({ embedding }) => embedding!.rows)).toEqual([
      65_536, 65_536,
    ]);
    const tied = header(config, "F32", true);
    expectSound(planModel(tied, { contextLength: 64 }), tied);
  });

  it("streamed layers take turns in one place of their stage, and are counted once", () => {
    const checkpoint = header(llama("7B"), "Q4_0");
    const options = { contextLength: 1024, batch: 64 };
    const whole = planModel(checkpoint, options);
    const layerBytes = 4096 * (4 * 4096 + 3 * 11008) * (18 / 32);
    const plan = planModel(checkpoint, { ...options, streamedLayers: 20 });
    expectSound(plan, checkpoint);
    expect(plan.readAheadBytes).toBe(layerBytes + 2 * 4096 * 4);
    const saved = whole.totalBytes - plan.totalBytes;
    expect(saved).toBeGreaterThan(0.99 * (20 - 2) * layerBytes);
    expect(planModel(checkpoint, { ...options, streamedLayers: 32 }).totalBytes).toBeLessThan(1.2e9);
  });

  it("counts at least the file's weights and the cache of every position, kv dimension and layer in its type", () => {
    const config = llama("7B");
    const checkpoint = header(config, "Q4_0");
    const weights = [...checkpoint.tensors.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    const numbers = 2 * 4096 * config.kvDim * config.nLayers;
    const types = [
      [undefined, 2],
      ["f16", 2],
      ["f32", 4],
      ["q8_0", 1 + 4 / 32],
    ] as const;
    for (const [cacheType, bytes] of types) {
      const { stages } = planModel(checkpoint, { contextLength: 4096, cacheType });
      const of = (kind: "weights" | "cache") => stages.reduce((sum, stage) => sum + stage.bytes[kind], 0);
      expect(of("weights")).toBeGreaterThanOrEqual(weights);
      expect(of("weights")).toBeLessThan(1.001 * weights);
      expect(of("cache")).toBe(bytes * numbers);
    }
  });

  it("plans a thousand layers at once", () => {
    const began = performance.now();
    const plan = planModel(header(smallConfig({ nLayers: 1000, dim: 4096, hiddenDim: 8192 }), "F32"), {
      contextLength: 64,
    });
    expect(plan.stages.reduce((sum, stage) => sum + stage.layers.length, 0)).toBe(1000);
    expect(performance.now() - began).toBeLessThan(3000); // 0.1 s on an idle machine
  });

  it("refuses a part that no stage can hold, with the numbers and before anything is read", () => {
    const attempt = (config: ModelConfig, contextLength: number) => () =>
      planModel(header(config, "F32"), { contextLength });
    const large = { ...llama("70B"), hiddenDim: 65_536 };
    expect(attempt(large, 64)).toThrow(OutOfMemoryError);
    expect(attempt(large, 64)).toThrow(
      /^Cannot plan model\.gguf: layer 0 needs \d{10} bytes .* a stage holds 4294901760$/,
    );
    // a context whose tables alone are larger
    expect(attempt(llama("7B"), 2 ** 24)).toThrow(
      /^Cannot plan model\.gguf: the embedding needs \d{10,} bytes/,
    );
  });
});

describe("packedTypes()", () => {
  // one layer of 655,360 weights: 368,640 bytes of q4_0; an embedding of 1024 pieces: 278,528 bytes of q8_0
  const config = smallConfig({
    dim: 256,
    hiddenDim: 512,
    nLayers: 1,
    nHeads: 4,
    nKvHeads: 4,
    vocabSize: 1024,
  });
  const typesOf = (checkpoint: Checkpoint) => packedTypes(planModel(checkpoint, { contextLength: 64 }));

  it("names the types that matrices are packed to, those with the most bytes first", () => {
    expect(typesOf(header(config, "Q4_0"))).toEqual(["q4_0"]);
    expect(typesOf(header({ ...config, vocabSize: 2048 }, "Q4_0", false, "F32"))).toEqual(["f32", "q4_0"]);
    expect(typesOf(header(config, "Q5_0"))).toEqual(["q8_0"]); // by its layout, not by its name in the file
  });

  it("counts an embedding that is the classifier too once", () => {
    expect(typesOf(header(config, "Q4_0", true, "Q8_0"))).toEqual(["q4_0", "q8_0"]);
  });

  it("counts over all stages", () => {
    const stages = planModel(header(llama("13B"), "Q4_0", false, "Q8_0"), { contextLength: 4096 });
    expect(stages.stages.length).toBeGreaterThan(1);
    expect(packedTypes(stages)).toEqual(["q4_0", "q8_0"]);
  });
});
