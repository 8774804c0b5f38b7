import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { smallConfig } from "../../test/random-model.js";
import { OutOfMemoryError } from "../errors.js";
import type { Checkpoint, ModelConfig, TensorInfo } from "../formats/checkpoint.js";
import { llamaTensors } from "../formats/llama-tensors.js";
import { bytesSource } from "../formats/source.js";
import { rowBytes, type TensorType } from "../formats/tensor-types.js";
import { type Plan, packedTypes, planModel } from "./plan.js";

const PAGE = 65_536;

/** A checkpoint's header, without bytes: planning reads none. The embedding may have a type of its own. */
function header(config: ModelConfig, type: TensorType, tied = false, embedding = type): Checkpoint {
  const tensors = new Map<string, TensorInfo>();
  for (const [name, shape] of llamaTensors(config, { tied })) {
    const isNorm = shape.length === 1;
    const ofType = isNorm ? "F32" : name === "token_embd.weight" ? embedding : type;
    const bytes = rowBytes(ofType, shape.at(-1)!) * (isNorm ? 1 : shape[0]!);
    tensors.set(name, { name, shape, type: ofType, offset: 0, bytes });
  }
  return {
    format: "header",
    architecture: "llama",
    config,
    metadata: new Map(),
    tensors,
    vocabulary: undefined,
    special: {},
    source: { ...bytesSource(new Uint8Array()), name: "model.gguf" },
    readRows: () => Promise.reject(new Error("planning reads no weights")),
  };
}

/** Shapes as published: Touvron et al. 2023, table 1 of the appendix, and the released params.json files. */
const shapes = {
  "7B": { dim: 4096, hiddenDim: 11008, nLayers: 32, nHeads: 32, nKvHeads: 32 },
  "13B": { dim: 5120, hiddenDim: 13824, nLayers: 40, nHeads: 40, nKvHeads: 40 },
  "70B": { dim: 8192, hiddenDim: 28672, nLayers: 80, nHeads: 64, nKvHeads: 8 },
};

function llama(name: keyof typeof shapes): ModelConfig {
  return smallConfig({ ...shapes[name], vocabSize: 32000, contextLength: 4096 });
}

/** Every slot of a plan, in its stage. */
function slots(plan: Plan): { stage: number; address: number }[] {
  const found: { stage: number; address: number }[] = [];
  const visit = (value: unknown, stage: number) => {
    if (typeof value !== "object" || value === null) return;
    if ("address" in value) found.push({ stage, address: Number(value.address) });
    for (const inner of Object.values(value)) visit(inner, stage);
  };
  plan.stages.forEach((stage, i) => {
    visit(stage, i);
  });
  return found;
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
      const config = llama(name);
      const plan = planModel(header(config, type), { contextLength: 4096 });
      let layers = 0;
      for (const stage of plan.stages) {
        expect(stage.pages).toBeLessThan(65_536);
        if (stage.layers.length) expect(stage.firstLayer).toBe(layers);
        layers += stage.layers.length;
      }
      expect(layers).toBe(config.nLayers);
      expect(plan.stages[0]!.embedding).toBeDefined();
      expect(plan.stages.at(-1)!.output).toBeDefined();
      for (const { stage, address } of slots(plan)) {
        expect(address).toBeGreaterThanOrEqual(PAGE); // the first page is the module's
        expect(address).toBeLessThanOrEqual(plan.stages[stage]!.pages * PAGE);
        expect(address % 64).toBe(0);
      }
    },
  );

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

  it("fills each stage with as many layers as fit, whatever its size", () => {
    const checkpoint = header(smallConfig({ nLayers: 90, dim: 64, hiddenDim: 256 }), "F32");
    const whole = planModel(checkpoint, { contextLength: 64 }).totalBytes;
    fc.assert(
      fc.property(fc.integer({ min: Math.ceil(whole / 3), max: whole }), (maxStageBytes) => {
        const plan = planModel(checkpoint, { contextLength: 64, maxStageBytes });
        for (const stage of plan.stages) expect(stage.pages * PAGE).toBeLessThanOrEqual(maxStageBytes);
        expect(plan.stages.reduce((sum, stage) => sum + stage.layers.length, 0)).toBe(90);
      }),
    );
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
    const config = smallConfig({ dim: 8192, vocabSize: 256_000, nHeads: 64 });
    const attempt = () => planModel(header(config, "F32"), { contextLength: 64 });
    expect(attempt).toThrow(OutOfMemoryError);
    expect(attempt).toThrow(
      /^Cannot plan model\.gguf: the embedding needs \d{10} bytes .* a stage holds 4294901760$/,
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
