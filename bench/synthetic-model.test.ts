import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { llamaTensors } from "../runtime/formats/llama-tensors.js";
import { inspect, load } from "../runtime/index.js";
import { plainVocabulary } from "../test/write-gguf.js";
import { customShape, type FileType, namedShape, type ShapeName, tensorTypeIn } from "./shapes.js";
import { type SyntheticModel, writeSyntheticModel } from "./synthetic-model.js";

const folder = await mkdtemp(join(tmpdir(), "cria-synthetic-"));
afterAll(() => rm(folder, { recursive: true }));

const numbers = { dim: 512, hidden: 768, layers: 3, heads: 4, kvHeads: 2, vocab: 2000, context: 64 };
const model = (changes: Partial<SyntheticModel> = {}): SyntheticModel => ({
  name: "synthetic",
  shape: customShape(numbers, false),
  type: "Q4_0",
  vocabulary: plainVocabulary(numbers.vocab),
  seed: 1,
  ...changes,
});

async function written(changes: Partial<SyntheticModel> = {}): Promise<Buffer> {
  const path = join(folder, "model.gguf");
  const size = writeSyntheticModel(path, model(changes));
  const bytes = await readFile(path);
  expect(bytes.length).toBe(size);
  return bytes;
}

describe("tensorTypeIn()", () => {
  // as llama.cpp lists them when it loads the files that its quantizer made of these models
  it.each<[ShapeName, FileType, Record<string, number>]>([
    ["7b", "Q4_0", { F32: 65, Q4_0: 225, Q6_K: 1 }],
    ["7b", "Q4_K_M", { F32: 65, Q4_K: 193, Q6_K: 33 }],
    ["tinyllama", "Q4_K_M", { F32: 45, Q4_K: 135, Q6_K: 21 }],
    ["tinyllama", "Q8_0", { F32: 45, Q8_0: 156 }],
  ])("gives %s in %s the types that llama.cpp's quantizer gives it", (name, type, counts) => {
    const shape = namedShape(name);
    const found: Record<string, number> = {};
    for (const tensor of llamaTensors(shape.config, { tied: shape.tied }).keys()) {
      const tensorType = tensorTypeIn(type, tensor, shape);
      found[tensorType] = (found[tensorType] ?? 0) + 1;
    }
    expect(found).toEqual(counts);
  });
});

describe("writeSyntheticModel()", () => {
  it.each<FileType>([
    "F32",
    "F16",
    "BF16",
    "Q8_0",
    "Q4_0",
    "Q4_1",
    "Q5_0",
    "Q5_1",
    "IQ4_NL",
    "Q2_K",
    "Q3_K",
    "Q4_K_M",
    "Q5_K_M",
    "Q6_K",
  ])(
    "writes a %s model that runs, its logits finite, with a deviation of about 1, and other ones for other ids",
    async (type) => {
      for (const tied of [false, true]) {
        const bytes = await written({ type, shape: customShape(numbers, tied) });
        const loaded = await load(bytes);
        const rows: Float32Array[] = [];
        for await (const row of loaded.logits([1, 5, 9, 1500], { from: 0 })) rows.push(row);
        await loaded.dispose();
        for (const row of rows) {
          const mean = row.reduce((sum, x) => sum + x, 0) / row.length;
          const variance = row.reduce((sum, x) => sum + (x - mean) ** 2, 0) / row.length;
          expect(Math.abs(mean)).toBeLessThan(0.2);
          expect(Math.sqrt(variance)).toBeGreaterThan(0.7);
          expect(Math.sqrt(variance)).toBeLessThan(1.4);
        }
        // rows of the classifier that were the same would give the same logit
        expect(new Set(rows[0]).size).toBeGreaterThan(1990);
        expect(correlation(rows[2]!, rows[3]!)).toBeLessThan(0.9);
      }
    },
  );

  it("gives the same bytes for the same seed, and others for another", async () => {
    const first = await written();
    expect((await written()).equals(first)).toBe(true);
    expect((await written({ seed: 2 })).equals(first)).toBe(false);
  });

  it("puts the numbers and types of the shape into the header", async () => {
    const { config, tensors } = await inspect(await written({ type: "Q4_K_M" }));
    expect(config).toMatchObject({ dim: 512, hiddenDim: 768, nLayers: 3, nKvHeads: 2, headDim: 128 });
    expect(tensors).toHaveLength(2 + 3 * 9 + 1);
    expect(tensors.find(({ name }) => name === "output.weight")!.type).toBe("Q6_K");
  });

  it("refuses a type whose blocks do not divide the rows, and leaves nothing behind", async () => {
    const before = await readdir(folder);
    const shape = customShape({ ...numbers, dim: 288, heads: 6, kvHeads: 6 }, false);
    expect(() => writeSyntheticModel(join(folder, "bad.gguf"), model({ shape, type: "Q4_K" }))).toThrow(
      /blk.0.attn_q.weight: expected a multiple of 256 columns, as Q4_K needs, found 288|token_embd/,
    );
    expect(await readdir(folder)).toEqual(before);
    expect(() => customShape({ ...numbers, heads: 3 }, false)).toThrow(RangeError);
  });
});

function correlation(a: Float32Array, b: Float32Array): number {
  const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, value, i) => sum + value * y[i]!, 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}
