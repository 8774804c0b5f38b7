import { mkdir, readdir, readFile, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { llamaTensors } from "../runtime/formats/llama-tensors.js";
import { cria, criaInProcess, finished, makeModels, startCria } from "../test/cria-program.js";
import { randomCheckpoint, smallConfig } from "../test/random-model.js";
import { sharedData } from "../test/shared-data.js";
import { smallModel, smallModelBytes } from "../test/small-tokenizer.js";
import {
  type FolderFiles,
  huggingFaceConfig,
  huggingFaceFolder,
  huggingFaceName,
  jsonBytes,
  safetensorsFile,
} from "../test/write-safetensors.js";

const models = await makeModels();
afterAll(() => models.remove());
const inFolder = (name: string) => join(models.path, name);

async function writeFolder(name: string, files: FolderFiles): Promise<string> {
  await mkdir(inFolder(name));
  for (const [file, bytes] of Object.entries(files)) await writeFile(join(inFolder(name), file), bytes);
  return inFolder(name);
}

const config = smallConfig({ vocabSize: 316 });
const checkpoint = randomCheckpoint({ config, type: "F16", seed: 6 });
const folder = await writeFolder("hf", {
  ...(await huggingFaceFolder(checkpoint, { bos_token_id: 1, eos_token_id: 2 })),
  "tokenizer.model": smallModelBytes(),
});

/** A model of 810 MB of zeros, which take no room on the disk, and seconds to convert. */
async function largeFolder(): Promise<string> {
  const large = smallConfig({ vocabSize: 316, dim: 4096, hiddenDim: 11008, nLayers: 1 });
  let end = 0;
  const header: Record<string, unknown> = {};
  for (const [name, shape] of llamaTensors(large, { tied: false })) {
    const begin = end;
    end += 4 * shape.reduce((product, size) => product * size, 1);
    header[huggingFaceName(name)] = { dtype: "F32", shape, data_offsets: [begin, end] };
  }
  const weights = safetensorsFile(JSON.stringify(header));
  const path = await writeFolder("large", {
    "config.json": jsonBytes({ ...huggingFaceConfig({ ...checkpoint, config: large }) }),
    "model.safetensors": weights,
  });
  await truncate(join(path, "model.safetensors"), weights.length + end);
  return path;
}

const inspection = async (path: string) => JSON.parse((await cria(["inspect", path, "--json"])).stdout);
const story = async (path: string, ...more: string[]) => {
  const args = ["run", path, "-p", "the cat sat", "--temperature", "0", "-n", "20", ...more];
  return (await cria(args)).stdout;
};
const partials = async () => (await readdir(models.path)).filter((name) => name.endsWith(".partial"));

describe("cria convert", () => {
  it("writes a Hugging Face folder as a GGUF with its vocabulary, which writes the same text", async () => {
    const out = inFolder("out.gguf");
    const { code, stdout, stderr } = await cria(["convert", folder, out]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toBe(`${out}: ${(await stat(out)).size.toLocaleString("en-US")} bytes, 21 tensors\n`);
    expect(await story(out)).toBe(await story(folder));

    const { config: found, metadata, tensors } = await inspection(out);
    expect(found).toEqual({ ...config, normEps: Math.fround(config.normEps) });
    expect(metadata).toMatchObject({
      "general.architecture": "llama",
      "general.file_type": 1,
      "general.quantization_version": 2,
      "tokenizer.ggml.model": "llama",
      "tokenizer.ggml.tokens": smallModel.pieces.map(({ piece }) => piece),
      "tokenizer.ggml.scores": smallModel.pieces.map(({ score }) => (score ?? 0) + 0),
      "tokenizer.ggml.token_type": smallModel.pieces.map(({ type }) => type ?? 1),
      "tokenizer.ggml.bos_token_id": 1,
      "tokenizer.ggml.eos_token_id": 2,
      "tokenizer.ggml.unknown_token_id": 0,
      "tokenizer.ggml.add_bos_token": true,
    });
    const types = tensors.map(({ shape, type }: { shape: number[]; type: string }) => [shape.length, type]);
    expect(new Set(types.map(String))).toEqual(new Set(["2,F16", "1,F32"]));
  });

  it("keeps all that a GGUF has, bit for bit", async () => {
    const out = inFolder("copy.gguf");
    const { code, stdout } = await criaInProcess(["convert", models.slow, out, "--json"]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ hasVocabulary: true, bytes: (await stat(out)).size });
    const [before, after] = [await inspection(models.slow), await inspection(out)];
    expect(after.metadata).toMatchObject(before.metadata);
    expect(after.tensors).toEqual(before.tensors);
    const data = async (
      path: string,
      { bytes, tensors }: { bytes: number; tensors: { bytes: number }[] },
    ) => {
      const length = tensors.reduce((sum, tensor) => sum + Math.ceil(tensor.bytes / 32) * 32, 0);
      return (await readFile(path)).subarray(bytes - length);
    };
    expect((await data(out, after)).equals(await data(models.slow, before))).toBe(true);
  });

  it("takes the vocabulary of another file, and says so where there is none", async () => {
    const files = await huggingFaceFolder(checkpoint);
    const bare = await writeFolder("no-tokenizer", files);
    const out = inFolder("bare-out.gguf");
    const none = await criaInProcess(["convert", bare, out]);
    expect([none.code, none.stderr]).toEqual([0, expect.stringContaining("the new file has no vocabulary")]);
    const tokenizer = join(folder, "tokenizer.model");
    expect((await criaInProcess(["convert", bare, out, "--tokenizer", tokenizer])).code).toBe(0);
    expect(await story(out)).toBe(await story(folder));
  });

  it("refuses to write over what it reads, and over what is no GGUF", async () => {
    const tokenizer = join(folder, "tokenizer.model");
    for (const [from, to, found] of [
      [models.model, models.model, "the model that is read"],
      [folder, join(folder, "model.safetensors"), "another kind of file"],
      [folder, tokenizer, "another kind of file"],
    ] as const) {
      const before = await readFile(to);
      const { code, stderr } = await criaInProcess(["convert", from, to]);
      expect([code, stderr]).toEqual([1, expect.stringContaining(`found ${found}`)]);
      expect(await readFile(to)).toEqual(before);
    }
  });

  it("leaves the old file as it is, and nothing beside it, when the weights turn out broken", async () => {
    const out = inFolder("old.gguf");
    await criaInProcess(["convert", models.model, out]);
    const old = await readFile(out);
    const broken = await writeFolder("broken", await huggingFaceFolder(checkpoint));
    const weights = await readFile(join(broken, "model.safetensors"));
    weights.fill(0xff, weights.length - 64); // NaN in the last tensor
    await writeFile(join(broken, "model.safetensors"), weights);
    const failed = await criaInProcess(["quantize", broken, out, "--type", "q8_0"]);
    expect([failed.code, failed.stderr]).toEqual([1, expect.stringContaining("an infinity or a NaN in row")]);
    expect(await readFile(out)).toEqual(old);
    expect(await partials()).toEqual([]);
  });

  it("leaves nothing when Ctrl-C ends it midway", async () => {
    const out = inFolder("interrupted.gguf");
    const child = startCria(["quantize", await largeFolder(), out, "--type", "q8_0"]);
    const end = finished(child);
    while ((await partials()).length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    child.kill("SIGINT");
    expect(await end).toMatchObject({ code: 130, stdout: "", stderr: "" });
    expect((await readdir(models.path)).filter((name) => name.startsWith("interrupted"))).toEqual([]);
  });

  it("says what it was not given", async () => {
    const none = await criaInProcess(["convert", models.model]);
    expect([none.code, none.stderr]).toEqual([
      2,
      expect.stringContaining("the name of the new file, found 1 names"),
    ]);
    const type = await criaInProcess(["quantize", models.model, "x.gguf"]);
    expect([type.code, type.stderr]).toEqual([2, expect.stringContaining("expected --type q8_0, q4_0")]);
    const unknown = await criaInProcess(["quantize", models.model, "x.gguf", "--type", "q2_k"]);
    expect(unknown.code).toBe(2);
  });

  const stories = sharedData("models/stories260K");
  it.skipIf(!stories)(
    "writes a llama2.c checkpoint that writes run.c's story (skipped without ../shared)",
    async () => {
      const out = inFolder("stories.gguf");
      const tokenizer = `${stories}/tok512.bin`;
      const { code } = await criaInProcess([
        "convert",
        `${stories}/stories260K.bin`,
        out,
        "--tokenizer",
        tokenizer,
      ]);
      expect(code).toBe(0);
      const { stdout } = await cria(["run", out, "-p", "", "--temperature", "0", "-n", "200"]);
      const golden = (await readFile(`${stories}/greedy-n200.txt`, "utf8")).trimEnd();
      expect(stdout.trimEnd()).toBe(golden);
    },
  );
});
