import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { maxError } from "../../test/kernel-lab.js";
import { randomCheckpoint, smallConfig } from "../../test/random-model.js";
import { referenceLogits } from "../../test/reference-model.js";
import { sharedData } from "../../test/shared-data.js";
import { tensorData } from "../../test/write-gguf.js";
import {
  type FolderFiles,
  huggingFaceConfig,
  huggingFaceFolder,
  huggingFaceTensors,
  jsonBytes,
  type SafetensorsData,
  writeSafetensors,
} from "../../test/write-safetensors.js";
import { openSource, type SourceLike } from "../api/sources.js";
import { FormatError, ModelError, UnsupportedError } from "../errors.js";
import { forward } from "../model/forward.js";
import { loadLlama } from "../model/llama.js";
import type { Checkpoint } from "./checkpoint.js";
import { openCheckpoint } from "./open.js";
import { bytesSource, type Source } from "./source.js";

const config = smallConfig({ vocabSize: 20, nHeads: 4, nKvHeads: 2 });
const model = randomCheckpoint({ config, type: "F32", seed: 8 });
const tensors = await huggingFaceTensors(model);

const folder = await mkdtemp(join(tmpdir(), "cria-hf-"));
afterAll(() => rm(folder, { recursive: true }));
let folders = 0;

async function writeFolder(files: FolderFiles): Promise<string> {
  const path = join(folder, String(folders++));
  await mkdir(path);
  for (const [name, bytes] of Object.entries(files)) await writeFile(join(path, name), bytes);
  return path;
}

const sources: Source[] = [];
afterEach(() => Promise.all(sources.splice(0).map((source) => source.close())));

async function open(from: SourceLike | FolderFiles): Promise<Checkpoint> {
  const isFolder = typeof from === "object" && Object.keys(from).some((name) => name.includes("."));
  const source = await openSource(isFolder ? await writeFolder(from as FolderFiles) : (from as SourceLike));
  sources.push(source);
  return openCheckpoint(source);
}

async function expectModel(opened: Checkpoint, expected = model): Promise<void> {
  expect(opened.config).toEqual({ ...expected.config, normEps: Math.fround(expected.config.normEps) });
  expect([...opened.tensors.keys()].sort()).toEqual([...expected.tensors.keys()].sort());
  for (const { name, shape, type, bytes } of await tensorData(expected)) {
    const rows = shape.length === 1 ? 1 : Number(shape[0]);
    const tensor = opened.tensors.get(name)!;
    expect(tensor).toMatchObject({ shape, type });
    expect(Buffer.compare(await opened.readRows(tensor, 0, rows), bytes), name).toBe(0);
  }
}

/** The folder in shards, of the given tensors each. */
function sharded(shards: readonly (readonly SafetensorsData[])[], weightMap = {}): FolderFiles {
  const names = shards.map((_, i) => `model-0000${i + 1}-of-0000${shards.length}.safetensors`);
  const map = Object.fromEntries(shards.flatMap((shard, i) => shard.map(({ name }) => [name, names[i]!])));
  return {
    "config.json": jsonBytes(huggingFaceConfig(model)),
    "model.safetensors.index.json": jsonBytes({ metadata: {}, weight_map: { ...map, ...weightMap } }),
    ...Object.fromEntries(shards.map((shard, i) => [names[i]!, writeSafetensors(shard)])),
  };
}

describe("a folder in Hugging Face's form", () => {
  it("opens with the config and the weights, rows of q and k in interleaved pairs", async () => {
    await expectModel(await open(await huggingFaceFolder(model)));
  });

  it("opens by any of its files, and from a list in any order", async () => {
    const files = await huggingFaceFolder(model);
    const path = await writeFolder(files);
    await expectModel(await open(join(path, "config.json")));
    await expectModel(await open(join(path, "model.safetensors")));
    await expectModel(await open(new URL(`file://${path}/`)));
    const list = Object.entries(files).map(([name, bytes]) => new File([new Uint8Array(bytes)], name));
    await expectModel(await open(list));
    await expectModel(await open(list.reverse()));
  });

  it("opens in shards, by the folder, the index and a shard", async () => {
    const path = await writeFolder(sharded([tensors.slice(0, 7), tensors.slice(7, 9), tensors.slice(9)]));
    const opened = await open(path);
    expect(opened.format).toBe("safetensors in 3 shards");
    await expectModel(opened);
    await expectModel(await open(join(path, "model.safetensors.index.json")));
    await expectModel(await open(join(path, "model-00002-of-00003.safetensors")));
  });

  it("gives any range of rows of q and k as those of the whole", async () => {
    const opened = await open(await huggingFaceFolder(model));
    for (const name of ["blk.0.attn_q.weight", "blk.1.attn_k.weight"]) {
      const tensor = opened.tensors.get(name)!;
      const rows = tensor.shape[0]!;
      const whole = await model.readRows(model.tensors.get(name)!, 0, rows);
      const stride = whole.length / rows;
      for (let begin = 0; begin <= rows; begin++) {
        for (let end = begin; end <= rows; end += 1 + (begin % 7)) {
          const expected = whole.subarray(begin * stride, end * stride);
          expect(Buffer.compare(await opened.readRows(tensor, begin, end), expected)).toBe(0);
        }
      }
      await expect(opened.readRows(tensor, 3, rows + 1)).rejects.toThrow(RangeError);
    }
  });

  it.each(["F16", "BF16"] as const)("opens in %s, tied, with other head sizes", async (type) => {
    const wide = { ...config, headDim: 10, ropeDim: 10, kvDim: 20 };
    const half = randomCheckpoint({ config: wide, type, seed: 2, tied: true });
    await expectModel(await open(await huggingFaceFolder(half)), half);
  });

  it("passes over RoPE's frequencies, which older files hold", async () => {
    const frequencies = {
      name: "model.layers.0.self_attn.rotary_emb.inv_freq",
      shape: [8],
      dtype: "F32",
      bytes: new Uint8Array(32),
    };
    const files = await huggingFaceFolder(model);
    await expectModel(
      await open({ ...files, "model.safetensors": writeSafetensors([...tensors, frequencies]) }),
    );
  });

  it("takes the newer form of RoPE's parameters, and neutral values", async () => {
    const changes = {
      rope_theta: undefined,
      rope_parameters: { rope_type: "default", rope_theta: 500000.0 },
      quantization_config: null,
      head_dim: null,
      num_key_value_heads: 2,
      pretraining_tp: 1,
    };
    const opened = await open(await huggingFaceFolder(model, changes));
    expect(opened.config.ropeBase).toBe(500000);
    expect(opened.config.headDim).toBe(16);
  });

  it("has the ids that begin and end a text from generation_config.json, else from config.json", async () => {
    const files = await huggingFaceFolder(model, { bos_token_id: 1, eos_token_id: 2 });
    const only = await open(files);
    expect(only.special).toEqual({ bos: 1, eos: 2 });
    const both = await open({ ...files, "generation_config.json": jsonBytes({ eos_token_id: [3, 7] }) });
    expect(both.special).toEqual({ bos: 1, eos: 3, eot: 7 });
  });

  it.each<[string, FolderFiles]>([
    ["tokenizer_config.json", { "tokenizer_config.json": jsonBytes({ chat_template: "{{ x }}" }) }],
    [
      "its list of templates",
      {
        "tokenizer_config.json": jsonBytes({
          chat_template: [
            { name: "tool_use", template: "no" },
            { name: "default", template: "{{ x }}" },
          ],
        }),
      },
    ],
    [
      "chat_template.jinja",
      {
        "chat_template.jinja": new TextEncoder().encode("{{ x }}"),
        "tokenizer_config.json": jsonBytes({ chat_template: "older" }),
      },
    ],
  ])("has the chat template of %s", async (_, more) => {
    const opened = await open({ ...(await huggingFaceFolder(model)), ...more });
    expect([...opened.metadata]).toEqual([["tokenizer.chat_template", "{{ x }}"]]);
  });
});

describe("a config.json", () => {
  it.each<[string, Record<string, unknown>, typeof UnsupportedError, RegExp]>([
    [
      "of another kind of model",
      { model_type: "qwen2" },
      UnsupportedError,
      /only "llama" is supported, found "qwen2"/,
    ],
    [
      "with scaled RoPE",
      { rope_scaling: { type: "linear", factor: 2.0 } },
      UnsupportedError,
      /rope_scaling of type "linear" and factor 2/,
    ],
    [
      "with RoPE as in Llama 3.1",
      { rope_scaling: { rope_type: "llama3", factor: 8.0 } },
      UnsupportedError,
      /"llama3"/,
    ],
    [
      "with scaled RoPE in the newer form",
      { rope_parameters: { rope_type: "yarn", factor: 4 } },
      UnsupportedError,
      /rope_parameters of type "yarn"/,
    ],
    [
      "with heads that are rotated in part",
      { rope_parameters: { rope_type: "default", partial_rotary_factor: 0.5 } },
      UnsupportedError,
      /partial_rotary_factor/,
    ],
    ["with attention bias", { attention_bias: true }, UnsupportedError, /attention_bias true/],
    ["with bias in the feed-forward layer", { mlp_bias: true }, UnsupportedError, /mlp_bias true/],
    ["with another activation", { hidden_act: "gelu" }, UnsupportedError, /hidden_act "gelu"/],
    [
      "of a quantized model",
      { quantization_config: { bits: 4 } },
      UnsupportedError,
      /quantization_config an object/,
    ],
    [
      "without a size",
      { hidden_size: undefined },
      ModelError,
      /hidden_size: expected an integer, found null/,
    ],
    [
      "with a size in quotes",
      { hidden_size: "64" },
      ModelError,
      /hidden_size: expected an integer, found "64"/,
    ],
    [
      "with a size that is a fraction",
      { hidden_size: 64.5 },
      ModelError,
      /hidden_size: expected an integer, found 64.5/,
    ],
    ["with a negative size", { num_hidden_layers: -1 }, ModelError, /num_hidden_layers: expected 1 to/],
    [
      "with heads that do not divide the width",
      { num_attention_heads: 3, num_key_value_heads: 3, head_dim: undefined },
      ModelError,
      /hidden_size: expected a multiple of the 3 heads/,
    ],
    [
      "with kv heads that do not divide the heads",
      { num_key_value_heads: 3 },
      ModelError,
      /num_key_value_heads: expected a divisor/,
    ],
    [
      "with other heads than the tensors'",
      { num_key_value_heads: 1 },
      ModelError,
      /k_proj.weight: expected \[16, 64\], found \[32, 64\]/,
    ],
    [
      "with another width than the tensors'",
      { hidden_size: 32, head_dim: 16 },
      ModelError,
      /embed_tokens.weight: expected \[20, 32\], found \[20, 64\]/,
    ],
    [
      "with more layers than the tensors",
      { num_hidden_layers: 3 },
      ModelError,
      /model.layers.2.*no such tensor/,
    ],
    [
      "with fewer layers than the tensors",
      { num_hidden_layers: 1 },
      UnsupportedError,
      /model.layers.1.* a Llama of 1 layers has no such tensor/,
    ],
    ["with another vocabulary", { vocab_size: 21 }, ModelError, /expected \[21, 64\]/],
    [
      "that ties what is not",
      { tie_word_embeddings: true },
      ModelError,
      /tie_word_embeddings: expected a model without lm_head.weight/,
    ],
    [
      "with an id out of range",
      { eos_token_id: 20 },
      ModelError,
      /eos_token_id: expected an id from 0 to 19, found 20/,
    ],
    ["with an id that is none", { bos_token_id: "x" }, ModelError, /bos_token_id: expected a token id/],
  ])("%s is refused by name", async (_, changes, type, message) => {
    const opening = open(await huggingFaceFolder(model, changes));
    await expect(opening).rejects.toThrow(type);
    await expect(opening).rejects.toThrow(message);
  });

  it("with duplicate keys, or a byte order mark, is a FormatError", async () => {
    const files = await huggingFaceFolder(model);
    const text = new TextDecoder().decode(files["config.json"]);
    const twice = new TextEncoder().encode(text.replace("{", '{"hidden_size":32,'));
    await expect(open({ ...files, "config.json": twice })).rejects.toThrow(
      /each key once, found "hidden_size" again/,
    );
    const marked = new TextEncoder().encode(`\ufeff${text}`);
    await expect(open({ ...files, "config.json": marked })).rejects.toThrow(FormatError);
  });
});

describe("the weights of a folder", () => {
  it.each<[string, () => FolderFiles, RegExp]>([
    [
      "without any",
      () => ({ "config.json": jsonBytes(huggingFaceConfig(model)) }),
      /expected model.safetensors or model.safetensors.index.json beside it/,
    ],
    [
      "with a missing shard",
      () => {
        const { "model-00002-of-00002.safetensors": _, ...rest } = sharded([
          tensors.slice(0, 9),
          tensors.slice(9),
        ]);
        return rest;
      },
      /expected the shard "model-00002-of-00002.safetensors" beside it, found no such file/,
    ],
    [
      "with an index that names a tensor which is nowhere",
      () => sharded([tensors], { ghost: "model-00001-of-00001.safetensors" }),
      /"ghost": expected in "model-00001-of-00001.safetensors", found nowhere/,
    ],
    [
      "with an index that names another shard",
      () =>
        sharded([tensors.slice(0, 9), tensors.slice(9)], {
          [tensors[0]!.name]: "model-00002-of-00002.safetensors",
        }),
      /"model.embed_tokens.weight": expected in "model-00002-of-00002.safetensors", found in "model-00001/,
    ],
    [
      "with an index that leads out of the folder",
      () => sharded([tensors], { ghost: "../../etc/passwd" }),
      /Cannot open "..\/..\/etc\/passwd" beside .*expected the name of a file in the same folder/,
    ],
    [
      "with an index of numbers",
      () => sharded([tensors], { ghost: 3 }),
      /"ghost": expected the name of a file/,
    ],
    [
      "with a tensor in two shards",
      () => sharded([tensors, tensors.slice(0, 1)]),
      /expected in .*00002-of.*found in .*00001/,
    ],
  ])("%s is a FormatError", async (_, files, message) => {
    const opening = open(files());
    await expect(opening).rejects.toThrow(FormatError);
    await expect(opening).rejects.toThrow(message);
  });

  it("in PyTorch's form are named as what they are", async () => {
    const files = {
      "config.json": jsonBytes(huggingFaceConfig(model)),
      "pytorch_model.bin": Uint8Array.of(80, 75),
    };
    const message =
      /weights in pytorch_model.bin are not supported, those in model.safetensors are; .*save_pretrained/;
    await expect(open(files)).rejects.toThrow(message);
    await expect(open(join(await writeFolder(files), "pytorch_model.bin"))).rejects.toThrow(message);
    const { "pytorch_model.bin": shard, ...rest } = files;
    const sharded = { ...rest, "pytorch_model.bin.index.json": jsonBytes({ weight_map: {} }) };
    await expect(open(sharded)).rejects.toThrow(/pytorch_model.bin.index.json are not supported/);
    const part = await writeFolder({ "pytorch_model-00001-of-00002.bin": shard! });
    await expect(open(join(part, "pytorch_model-00001-of-00002.bin"))).rejects.toThrow(UnsupportedError);
  });

  it("in a type that is not computed with are named with it", async () => {
    const wrong = tensors.map((tensor) =>
      tensor.name === "lm_head.weight"
        ? { ...tensor, dtype: "F64", bytes: new Uint8Array(tensor.bytes.length * 2) }
        : tensor,
    );
    const files = { ...(await huggingFaceFolder(model)), "model.safetensors": writeSafetensors(wrong) };
    await expect(open(files)).rejects.toThrow(/lm_head.weight: F64 is not supported here/);
  });

  it("with a bias are refused", async () => {
    const bias = {
      name: "model.layers.0.self_attn.q_proj.bias",
      shape: [64],
      dtype: "F32",
      bytes: new Uint8Array(256),
    };
    const files = {
      ...(await huggingFaceFolder(model)),
      "model.safetensors": writeSafetensors([...tensors, bias]),
    };
    await expect(open(files)).rejects.toThrow(/q_proj.bias: bias is not supported/);
  });

  it("by themselves ask for their config", async () => {
    const bytes = writeSafetensors(tensors);
    await expect(openCheckpoint(bytesSource(bytes, "x"))).rejects.toThrow(
      /expected a config.json beside it, found none/,
    );
  });
});

const fixtures = sharedData("models/hf-fixtures");

async function fixtureFolder(names: Record<string, string>): Promise<string> {
  const files = Object.entries(names).map(([name, file]) => [name, readFileSync(`${fixtures}/${file}`)]);
  return writeFolder(Object.fromEntries(files));
}

async function logitsOf(checkpoint: Checkpoint, ids: readonly number[]): Promise<Float32Array> {
  const llama = await loadLlama(checkpoint, {
    contextLength: checkpoint.config.contextLength,
    cacheType: "f32",
  });
  return forward(llama, ids, 0, { logitsFrom: 0 }).slice();
}

describe.skipIf(!fixtures)("hf-fixtures (skipped without ../shared)", () => {
  const expected = fixtures
    ? (JSON.parse(readFileSync(`${fixtures}/tiny_llama_logits.json`, "utf8")) as {
        sequences: number[][];
        logits: number[][][];
      })
    : { sequences: [], logits: [] };

  it.each([
    ["tiny_llama.safetensors", { "model.safetensors": "tiny_llama.safetensors" }],
    [
      "tiny_llama in two shards",
      {
        "model.safetensors.index.json": "tiny_llama.safetensors.index.json",
        "tiny_llama-00001-of-00002.safetensors": "tiny_llama-00001-of-00002.safetensors",
        "tiny_llama-00002-of-00002.safetensors": "tiny_llama-00002-of-00002.safetensors",
      },
    ],
  ])("%s has the logits of Hugging Face's implementation, within 1e-5", async (_, weights) => {
    const files = { "config.json": "tiny_llama_config.json", ...(weights as Record<string, string>) };
    const opened = await open(await fixtureFolder(files));
    expect(expected.sequences.length).toBeGreaterThan(0);
    for (const [i, ids] of expected.sequences.entries()) {
      expect(maxError(await logitsOf(opened, ids), expected.logits[i]!.flat())).toBeLessThan(1e-5);
    }
  });

  it("tiny_llama_q8.safetensors has logits within 1e-5 of float64", async () => {
    const files = {
      "config.json": "tiny_llama_q8_config.json",
      "model.safetensors": "tiny_llama_q8.safetensors",
    };
    const opened = await open(await fixtureFolder(files));
    const ids = [1, 5, 2, 7, 0, 3, 3, 6];
    const reference = await referenceLogits(opened, ids);
    const flat = reference.flatMap((row) => [...row]);
    expect(maxError(await logitsOf(opened, ids), flat)).toBeLessThan(1e-5);
  });
});
