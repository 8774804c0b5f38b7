import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { cria, criaInProcess, makeModels } from "../test/cria-program.js";
import { randomCheckpoint, smallConfig } from "../test/random-model.js";
import { sharedData } from "../test/shared-data.js";
import { llamaMetadata, plainVocabulary, writeGguf } from "../test/write-gguf.js";

const models = await makeModels();
afterAll(() => models.remove());

const config = smallConfig({ vocabSize: 320 });
const checkpoint = randomCheckpoint({ config, type: "Q8_0", seed: 1 });
const path = join(models.path, "rich.gguf");
const tensors = await Promise.all(
  [...checkpoint.tensors.values()].map(async (tensor) => ({
    ...tensor,
    bytes: await checkpoint.readRows(tensor, 0, tensor.shape.length === 1 ? 1 : tensor.shape[0]!),
  })),
);
const vocabulary = plainVocabulary(320);
await writeFile(
  path,
  writeGguf({
    metadata: {
      ...llamaMetadata(config, vocabulary),
      "test.large": { type: "u64", value: 2n ** 60n + 1n },
      "test.larges": { type: "i64[]", value: [5n, -(2n ** 60n)] },
      "test.nan": { type: "f32", value: Number.NaN },
      "test.nested": { type: "u8[][]", value: [[1, 2], [3]] },
      "test.escape": { type: "string", value: "\x1b[31mred\nline" },
      ["__proto__"]: { type: "string", value: "kept" },
    },
    tensors,
  }),
);

describe("cria inspect", () => {
  it("writes what is in a model as one JSON object", async () => {
    const { code, stdout, stderr } = await cria(["inspect", path, "--json"]);
    expect([code, stderr]).toEqual([0, ""]);
    const found = JSON.parse(stdout);
    expect(Object.keys(found)).toEqual([
      "format",
      "architecture",
      "config",
      "metadata",
      "tensors",
      "parameters",
      "bytes",
    ]);
    expect(found).toMatchObject({ format: "GGUF v3", architecture: "llama", bytes: (await stat(path)).size });
    expect(found.config).toEqual({ ...config, normEps: Math.fround(config.normEps) });
    expect(found.tensors).toEqual(
      tensors.map(({ name, shape, type, bytes }) => ({ name, shape, type, bytes: bytes.length })),
    );
    const weights = tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    expect(found.parameters).toBe(weights);
    expect(found.metadata).toMatchObject({
      "llama.context_length": 64,
      "tokenizer.ggml.tokens": vocabulary.tokens,
      "tokenizer.ggml.scores": Array.from(vocabulary.scores!),
      "tokenizer.ggml.add_bos_token": true,
      "test.large": String(2n ** 60n + 1n),
      "test.larges": [5, String(-(2n ** 60n))],
      "test.nan": "NaN",
      "test.nested": [[1, 2], [3]],
      "test.escape": "\x1b[31mred\nline",
    });
    expect(Object.getOwnPropertyDescriptor(found.metadata, "__proto__")?.value).toBe("kept");
  });

  it("shows it to people in aligned columns, arrays shortened, control characters spelled out", async () => {
    const { code, stdout } = await criaInProcess(["inspect", path]);
    expect(code).toBe(0);
    expect(stdout).toContain("GGUF v3, llama, ");
    expect(stdout).toMatch(/\n {2}normEps +0\.00001\n/);
    expect(stdout).toMatch(/tokenizer\.ggml\.tokens +\["<unk>", "<s>", .*\.\.\. \(320 in all\)\]\n/);
    expect(stdout).toMatch(/test\.escape +\\x1b\[31mred line\n/);
    expect(stdout).toMatch(/ {2}token_embd\.weight +Q8_0 +\[320, 64\] +21,760\n/);
    expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThan(150);
    const sizes = stdout.split("\n").filter((line) => /^ {2}blk/.test(line));
    expect(new Set(sizes.map((line) => line.length)).size).toBe(1);
  });

  const bin = sharedData("models/stories260K/stories260K-q8.bin");
  it.skipIf(!bin)("says how a llama2.c file stores its int8 weights", async () => {
    const found = JSON.parse((await criaInProcess(["inspect", bin!, "--json"])).stdout);
    expect(found).toMatchObject({ format: "llama2.c v2", metadata: {}, bytes: 392064, parameters: 260_032 });
    expect(found.tensors.some(({ type }: { type: string }) => type === "int8 groups of 8")).toBe(true);
  });
});
