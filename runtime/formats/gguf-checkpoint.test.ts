import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { randomCheckpoint, smallConfig } from "../../test/random-model.js";
import { sharedData } from "../../test/shared-data.js";
import {
  checkpointToGguf,
  type GgufTensorData,
  llamaMetadata,
  plainVocabulary,
  tensorData,
  writeGguf,
} from "../../test/write-gguf.js";
import { ModelError, UnsupportedError } from "../errors.js";
import type { Checkpoint } from "./checkpoint.js";
import { openCheckpoint } from "./open.js";
import { bytesSource, fileSource } from "./source.js";
import { type TensorType, tensorTypes } from "./tensor-types.js";

const config = smallConfig({ dim: 16, hiddenDim: 24, nHeads: 4, nKvHeads: 2, nLayers: 2, vocabSize: 20 });
const random = randomCheckpoint({ config, type: "F32", seed: 5 });
const vocabulary = plainVocabulary(config.vocabSize);
const goodTensors = await tensorData(random);

async function openWith(tensors: readonly GgufTensorData[]): Promise<Checkpoint> {
  return openCheckpoint(
    bytesSource(writeGguf({ metadata: llamaMetadata(config, vocabulary), tensors }), "test.gguf"),
  );
}

const zeros = (name: string, shape: number[], type = "F32", bytesPerWeight = 4): GgufTensorData => ({
  name,
  shape,
  type,
  bytes: new Uint8Array(shape.reduce((a, b) => a * b) * bytesPerWeight),
});
const replaced = (tensor: GgufTensorData): GgufTensorData[] =>
  goodTensors.map((good) => (good.name === tensor.name ? tensor : good));
const without = (name: string) => goodTensors.filter((tensor) => tensor.name !== name);

describe("a GGUF of a llama", () => {
  it("opens with the config, tensors, weights and vocabulary that were written", async () => {
    for (const type of Object.keys(tensorTypes) as TensorType[]) {
      const sizes = type.endsWith("_K") ? { dim: 256, hiddenDim: 256 } : { dim: 64, hiddenDim: 96 };
      const wide = { ...config, ...sizes, headDim: sizes.dim / 4, kvDim: sizes.dim / 2, ropeDim: 16 };
      const written = randomCheckpoint({ config: { ...wide, normEps: 2 ** -17 }, type, seed: 2 });
      const file = await checkpointToGguf(written, vocabulary);
      const opened = await openCheckpoint(bytesSource(file));
      expect(opened).toMatchObject({ format: "GGUF v3", architecture: "llama", config: written.config });
      expect(opened.special).toEqual({ bos: 1, eos: 2 });
      expect([...opened.tensors.keys()].sort()).toEqual([...written.tensors.keys()].sort());
      for (const tensor of written.tensors.values()) {
        const found = opened.tensors.get(tensor.name)!;
        expect(found).toMatchObject({ shape: tensor.shape, type: tensor.type, bytes: tensor.bytes });
        const rows = tensor.shape.length === 1 ? 1 : tensor.shape[0]!;
        const [begin, end] = [Math.floor(rows / 3), Math.ceil(rows / 2)];
        expect(await opened.readRows(found, begin, end)).toEqual(await written.readRows(tensor, begin, end));
      }
    }
  });

  it("opens with a tied classifier, and with one that repeats the embedding", async () => {
    const tied = await openWith(without("output.weight"));
    expect(tied.tensors.has("output.weight")).toBe(false);
    const embedding = goodTensors.find(({ name }) => name === "token_embd.weight")!;
    const repeated = await openWith(replaced({ ...embedding, name: "output.weight" }));
    expect(repeated.tensors.has("output.weight")).toBe(true);
  });

  it("refuses to read rows that a tensor does not have", async () => {
    const { tensors, readRows } = await openWith(goodTensors);
    const embedding = tensors.get("token_embd.weight")!;
    for (const [begin, end] of [
      [0, 21],
      [-1, 1],
      [2, 1],
      [0.5, 1],
      [0, Number.NaN],
    ] as const) {
      await expect(readRows(embedding, begin, end)).rejects.toThrow(RangeError);
    }
    await expect(readRows(tensors.get("output_norm.weight")!, 0, 16)).rejects.toThrow(/rows from 0 to 1/);
  });
});

describe("a GGUF without the tensors of its config is a ModelError", () => {
  const tensorCases: [string, readonly GgufTensorData[], RegExp][] = [
    ["no tensors", [], /expected the tensors of a model, found none/],
    [
      "a missing matrix",
      without("blk.1.ffn_down.weight"),
      /blk.1.ffn_down.weight: expected \[16, 24\], .*no such/,
    ],
    ["a missing norm", without("output_norm.weight"), /output_norm.weight: expected \[16\], .*no such/],
    ["no embedding", without("token_embd.weight"), /token_embd.weight: expected \[20, 16\], .*no such/],
    [
      "a transposed matrix",
      replaced(zeros("blk.0.attn_q.weight", [8, 16])),
      /blk.0.attn_q.weight: expected \[16, 16\], found \[8, 16\]/,
    ],
    [
      "a matrix for a norm",
      replaced(zeros("blk.0.attn_norm.weight", [1, 16])),
      /blk.0.attn_norm.weight: expected \[16\], found \[1, 16\]/,
    ],
    [
      "a norm of one column",
      replaced(zeros("blk.0.attn_norm.weight", [16, 1])),
      /blk.0.attn_norm.weight: expected \[16\], found \[16, 1\]/,
    ],
    [
      "an output of another vocabulary",
      replaced(zeros("output.weight", [19, 16])),
      /output.weight: expected \[20, 16\], found \[19, 16\]/,
    ],
  ];
  it.each(tensorCases)("%s", async (_, tensors, message) => {
    await expect(openWith(tensors)).rejects.toThrow(ModelError);
    await expect(openWith(tensors)).rejects.toThrow(message);
  });
});

describe("a GGUF with tensors that are not computed with is an UnsupportedError", () => {
  const extra: [string, GgufTensorData, RegExp][] = [
    ["rope_freqs", zeros("rope_freqs.weight", [2]), /rope_freqs.weight: RoPE scaling/],
    ["attention bias", zeros("blk.0.attn_q.bias", [16]), /blk.0.attn_q.bias: attention bias/],
    ["bias elsewhere", zeros("blk.0.ffn_up.bias", [24]), /blk.0.ffn_up.bias: bias/],
    ["an expert router", zeros("blk.0.ffn_gate_inp.weight", [8, 16]), /ffn_gate_inp.weight: experts/],
    ["experts", zeros("blk.0.ffn_up_exps.weight", [2, 24, 16]), /ffn_up_exps.weight: experts/],
    ["a norm of queries", zeros("blk.0.attn_q_norm.weight", [4]), /attn_q_norm.weight: .*no such tensor/],
    ["a layer too many", zeros("blk.2.attn_norm.weight", [16]), /blk.2.attn_norm.weight: .*2 layers/],
    ["a tensor of no known use", zeros("v.patch_embd.weight", [16]), /v.patch_embd.weight: .*no such tensor/],
  ];
  it.each(extra)("%s", async (_, tensor, message) => {
    await expect(openWith([...goodTensors, tensor])).rejects.toThrow(UnsupportedError);
    await expect(openWith([...goodTensors, tensor])).rejects.toThrow(message);
  });

  it("a matrix of a type without kernels", async () => {
    const wide = smallConfig({ dim: 256, hiddenDim: 256, nLayers: 1, vocabSize: 20 });
    const iq4 = zeros("blk.0.ffn_up.weight", [256, 256], "IQ4_XS", 136 / 256);
    const good = await tensorData(randomCheckpoint({ config: wide, type: "Q4_0", seed: 1 }));
    const tensors = good.map((tensor) => (tensor.name === iq4.name ? iq4 : tensor));
    const opened = openCheckpoint(
      bytesSource(writeGguf({ metadata: llamaMetadata(wide, vocabulary), tensors })),
    );
    await expect(opened).rejects.toThrow(UnsupportedError);
    await expect(opened).rejects.toThrow(
      /blk.0.ffn_up.weight: IQ4_XS is not supported here, F32, .*Q6_K are/,
    );
  });

  it("a norm that is quantized", async () => {
    const quantized = smallConfig({ dim: 32, hiddenDim: 32, nLayers: 1, vocabSize: 20 });
    const tensors = (await tensorData(randomCheckpoint({ config: quantized, type: "F32", seed: 1 }))).map(
      (tensor) =>
        tensor.name === "output_norm.weight"
          ? { ...tensor, type: "Q8_0", bytes: new Uint8Array(34) }
          : tensor,
    );
    const file = writeGguf({ metadata: llamaMetadata(quantized, vocabulary), tensors });
    await expect(openCheckpoint(bytesSource(file))).rejects.toThrow(
      /output_norm.weight: Q8_0 is not supported here/,
    );
  });

  it.skipIf(!sharedData("models/hf-fixtures"))(
    "loose tensors of k-quants (skipped without ../shared)",
    async () => {
      const source = await fileSource(sharedData("models/hf-fixtures/tiny_kquant.gguf")!);
      await expect(openCheckpoint(source)).rejects.toThrow(/only "llama" is supported, found "kquanttest"/);
      await source.close();
    },
  );
});

describe.skipIf(!sharedData("models"))("real GGUF files (skipped without ../shared)", () => {
  async function openShared(path: string): Promise<Checkpoint> {
    const source = await fileSource(sharedData(path)!);
    const checkpoint = await openCheckpoint(source);
    for (const tensor of checkpoint.tensors.values()) {
      const rows = tensor.shape.length === 1 ? 1 : tensor.shape[0]!;
      expect((await checkpoint.readRows(tensor, 0, rows)).length).toBe(tensor.bytes);
    }
    await source.close();
    return checkpoint;
  }

  it.each([
    ["tiny_llama_f32.gguf", "tiny_llama_config.json"],
    ["tiny_llama_f16.gguf", "tiny_llama_config.json"],
    ["tiny_llama_q8.gguf", "tiny_llama_q8_config.json"],
  ])("%s has the config of its Hugging Face original", async (gguf, json) => {
    const opened = await openShared(`models/hf-fixtures/${gguf}`);
    const original = JSON.parse(readFileSync(sharedData(`models/hf-fixtures/${json}`)!, "utf8"));
    expect(opened.config).toMatchObject({
      dim: original.hidden_size,
      hiddenDim: original.intermediate_size,
      nLayers: original.num_hidden_layers,
      nHeads: original.num_attention_heads,
      nKvHeads: original.num_key_value_heads,
      normEps: Math.fround(original.rms_norm_eps),
      vocabSize: original.vocab_size,
      contextLength: original.max_position_embeddings,
    });
    expect(opened.tensors.has("output.weight")).toBe(!original.tie_word_embeddings);
    expect(opened.vocabulary?.tokens[7]).toBe("<tok_7>");
    expect(opened.special).toEqual({});
  });

  it("llama-2-tiny-random.gguf has Llama 2's whole vocabulary", async () => {
    const {
      config: found,
      vocabulary: pieces,
      tensors,
    } = await openShared("models/llama-2-tiny-random.gguf");
    expect(found).toMatchObject({
      dim: 8,
      hiddenDim: 32,
      nLayers: 1,
      nHeads: 2,
      nKvHeads: 2,
      vocabSize: 32000,
    });
    expect(tensors.get("output.weight")).toMatchObject({ shape: [32000, 8], type: "F16" });
    expect(pieces).toMatchObject({ model: "llama", bos: 1, eos: 2, unk: 0 });
    expect(pieces?.tokens.slice(0, 4)).toEqual(["<unk>", "<s>", "</s>", "<0x00>"]);
    expect(pieces?.scores?.length).toBe(32000);
    expect(Array.from({ length: 4 }, (_, i) => pieces?.types?.[i])).toEqual([2, 3, 3, 6]);
  });
});
