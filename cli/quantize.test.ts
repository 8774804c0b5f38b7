import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { openCheckpoint } from "../runtime/formats/open.js";
import { fileSource } from "../runtime/formats/source.js";
import { criaInProcess, makeModels, vocabulary } from "../test/cria-program.js";
import { dequantize } from "../test/dequantize.js";
import { randomCheckpoint, smallConfig } from "../test/random-model.js";
import { checkpointToGguf } from "../test/write-gguf.js";

const models = await makeModels();
afterAll(() => models.remove());
const inFolder = (name: string) => join(models.path, name);

/** Rows of 256, which every type's blocks divide. */
const wide = randomCheckpoint({
  config: smallConfig({ vocabSize: 320, dim: 256, hiddenDim: 512, nLayers: 1 }),
  type: "F32",
  seed: 3,
});
const wideFile = inFolder("wide.gguf");
await writeFile(wideFile, await checkpointToGguf(wide, vocabulary));

interface Entry {
  readonly name: string;
  readonly to: string;
  readonly errors?: { readonly rmse: number; readonly max: number; readonly rms: number };
}

async function quantized(from: string, type: string, to: string): Promise<Entry[]> {
  const { code, stdout, stderr } = await criaInProcess(["quantize", from, to, "--type", type, "--json"]);
  expect([code, stderr]).toEqual([0, ""]);
  return JSON.parse(stdout).tensors;
}

function rootMeanSquare(values: Float64Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
}

function largest(values: Float64Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

describe("cria quantize", () => {
  it.each([
    ["q8_0", "Q8_0", "Q8_0", 0.01],
    ["q4_0", "Q4_0", "Q6_K", 0.09],
    ["q4_1", "Q4_1", "Q6_K", 0.08],
    ["q4_k", "Q4_K", "Q6_K", 0.08],
    ["q6_k", "Q6_K", "Q6_K", 0.02],
    ["f16", "F16", "F16", 0.0003],
  ])(
    "%s writes a model that runs, with the errors that float64 finds",
    async (type, matrix, classifier, most) => {
      const out = inFolder(`${type}.gguf`);
      const tensors = await quantized(wideFile, type, out);
      const source = await fileSource(out);
      const checkpoint = await openCheckpoint(source);
      for (const { name, to, errors } of tensors) {
        const info = wide.tensors.get(name)!;
        const isNorm = info.shape.length === 1;
        expect(to).toBe(isNorm ? "F32" : name === "output.weight" ? classifier : matrix);
        const rows = isNorm ? 1 : info.shape[0]!;
        const before = dequantize("F32", await wide.readRows(info, 0, rows));
        const stored = checkpoint.tensors.get(name)!;
        expect(stored.type).toBe(to);
        const after = dequantize(stored.type, await checkpoint.readRows(stored, 0, rows));
        const differences = after.map((value, i) => value - before[i]!);
        if (isNorm) {
          expect(errors).toBeUndefined();
          expect(after).toEqual(before);
          continue;
        }
        expect(errors!.rmse).toBeCloseTo(rootMeanSquare(differences), 9);
        expect(errors!.rms).toBeCloseTo(rootMeanSquare(before), 9);
        expect(errors!.max).toBeCloseTo(largest(differences), 6);
        expect(errors!.rmse / errors!.rms).toBeLessThan(most);
      }
      await source.close();
      const { code, stdout } = await criaInProcess(["run", out, "-p", "a", "--temperature", "0", "-n", "5"]);
      expect([code, stdout.length > 1]).toEqual([0, true]);
    },
  );

  it("falls back to Q8_0 and F16 where rows are no multiple of the block", async () => {
    const odd = randomCheckpoint({
      config: smallConfig({ vocabSize: 320, dim: 64, hiddenDim: 100, nLayers: 1 }),
      type: "F32",
      seed: 3,
    });
    await writeFile(inFolder("odd.gguf"), await checkpointToGguf(odd, vocabulary));
    const tensors = await quantized(inFolder("odd.gguf"), "q4_k", inFolder("odd-q4_k.gguf"));
    const typeOf = (name: string) => tensors.find((tensor) => tensor.name === name)!.to;
    expect(typeOf("blk.0.ffn_down.weight")).toBe("F16"); // rows of 100
    expect(typeOf("blk.0.attn_q.weight")).toBe("Q8_0"); // of 64
  });

  it("shows the errors in columns", async () => {
    const { stdout } = await criaInProcess(["quantize", wideFile, inFolder("shown.gguf"), "--type", "q8_0"]);
    expect(stdout).toMatch(/^tensor +from +to +RMSE +% +largest\n/);
    expect(stdout).toMatch(/\nblk\.0\.attn_q\.weight +F32 +Q8_0 +\d\.\d{3}e-4 +0\.\d{3} +\d\.\d{3}e-[34]\n/);
    expect(stdout).toMatch(/shown\.gguf: [\d,]+ bytes, 12 tensors\n$/);
  });

  it("measures the perplexity before and after, as cria perplexity does", async () => {
    const text = inFolder("text.txt");
    await writeFile(text, "the cat sat on the mat. ".repeat(5));
    const out = inFolder("measured.gguf");
    const args = ["quantize", wideFile, out, "--type", "q8_0", "--perplexity", text];
    const { code, stdout } = await criaInProcess([...args, "--json"]);
    expect(code).toBe(0);
    const { perplexity } = JSON.parse(stdout);
    const measured = async (path: string) =>
      JSON.parse((await criaInProcess(["perplexity", path, text, "--json"])).stdout).perplexity;
    expect(perplexity).toEqual({ before: await measured(wideFile), after: await measured(out) });
    expect((await criaInProcess(args)).stdout).toMatch(
      /\nperplexity: [\d.]+ before, [\d.]+ after \([+-][\d.]+ %\)\n$/,
    );
  });
});
