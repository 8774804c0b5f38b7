// Models whose tokenizer is a file of its own, found in the folder.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { startFileServer } from "../../test/file-server.js";
import { randomCheckpoint, smallConfig } from "../../test/random-model.js";
import { smallModelBytes } from "../../test/small-tokenizer.js";
import { checkpointToGguf, plainVocabulary } from "../../test/write-gguf.js";
import { type FolderFiles, huggingFaceFolder } from "../../test/write-safetensors.js";
import { inspect } from "./inspect.js";
import { load } from "./load.js";
import { openModelTokenizer } from "./open-model-tokenizer.js";

const checkpoint = randomCheckpoint({ config: smallConfig({ vocabSize: 316 }), type: "F32", seed: 6 });
const tokenizer = smallModelBytes();
const files = await huggingFaceFolder(checkpoint, { bos_token_id: 1, eos_token_id: 2 });

const temporary: string[] = [];
afterAll(() => Promise.all(temporary.map((path) => rm(path, { recursive: true }))));

async function writeFolder(contents: FolderFiles): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "cria-folder-"));
  temporary.push(path);
  for (const [name, bytes] of Object.entries(contents)) await writeFile(join(path, name), bytes);
  return path;
}

const server = await startFileServer();
afterAll(() => server.close());

/** The folder's address, without a slash at the end. */
function serveFolder(contents: FolderFiles): string {
  for (const [name, bytes] of Object.entries(contents)) server.files.set(`/folder/${name}`, { bytes });
  return `${server.url}/folder`;
}

const filesOf = (contents: FolderFiles) =>
  Object.entries(contents).map(([name, bytes]) => new File([new Uint8Array(bytes)], name));

describe("a folder in Hugging Face's form", () => {
  it("writes what the same model writes as a GGUF, with the tokenizer.model in it", async () => {
    const gguf = await checkpointToGguf(checkpoint, plainVocabulary(316));
    await using asGguf = await load(gguf, { tokenizer });
    const expected = await asGguf.generate("the cat sat", { maxTokens: 30, seed: 5 });
    const contents = { ...files, "tokenizer.model": tokenizer };
    const served = serveFolder(contents);
    const addresses = [`${served}/`, `${served}/config.json`, new URL(`${served}/model.safetensors`)];
    for (const from of [await writeFolder(contents), filesOf(contents), ...addresses]) {
      await using model = await load(from);
      expect(await model.generate("the cat sat", { maxTokens: 30, seed: 5 })).toMatchObject({
        text: expected.text,
        tokens: expected.tokens,
      });
    }
  });

  it("takes the tokenizer whose vocabulary has the model's size", async () => {
    const folder = await writeFolder({
      ...files,
      "tokenizer.bin": await checkpointToGguf(
        randomCheckpoint({ config: smallConfig({ vocabSize: 320 }), type: "F32", seed: 1 }),
        plainVocabulary(320),
      ),
      "tokenizer.model": tokenizer,
    });
    await using model = await load(folder);
    expect(model.tokenizer.vocabSize).toBe(316);
  });

  it("loads without a tokenizer, and says what is missing once text is needed", async () => {
    await using model = await load(await writeFolder(files));
    expect((await model.generate([1, 5], { maxTokens: 3 })).tokens).toHaveLength(3);
    expect(() => model.tokenize("the cat")).toThrow(
      /put it beside the model as tokenizer.bin, tokenizer.model/,
    );
  });

  it("opens as a tokenizer, and can be inspected", async () => {
    const folder = await writeFolder({ ...files, "tokenizer.model": tokenizer });
    expect((await openModelTokenizer(folder)).vocabSize).toBe(316);
    expect((await openModelTokenizer(join(folder, "model.safetensors"))).vocabSize).toBe(316);
    const { format, bytes, problem } = await inspect(folder);
    expect([format, bytes, problem]).toEqual(["safetensors", files["model.safetensors"]!.length, undefined]);
  });

  it("without a model in it says what was expected", async () => {
    const empty = await writeFolder({});
    await expect(load(empty)).rejects.toThrow(
      /expected a file, or a folder with a config.json or params.json, found a directory without/,
    );
    await expect(load([])).rejects.toThrow(/expected one at least, found none/);
  });
});
