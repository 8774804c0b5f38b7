import { describe, expect, it } from "vitest";
import { randomCheckpoint, smallConfig } from "../../test/random-model.js";
import { checkpointToGguf, type GgufValue, plainVocabulary } from "../../test/write-gguf.js";
import { ModelError, UnsupportedError } from "../errors.js";
import type { Checkpoint } from "./checkpoint.js";
import { openCheckpoint } from "./open.js";
import { bytesSource } from "./source.js";

const config = smallConfig({ dim: 16, hiddenDim: 24, nHeads: 4, nKvHeads: 2, nLayers: 2, vocabSize: 20 });
const random = randomCheckpoint({ config, type: "F32", seed: 5 });
const vocabulary = plainVocabulary(config.vocabSize);

/** Metadata to write instead; undefined leaves the key out. */
type Changes = Record<string, GgufValue | undefined>;

/** Opens the random model with some of its metadata changed. */
async function openWith(changes: Changes): Promise<Checkpoint> {
  return openCheckpoint(bytesSource(await checkpointToGguf(random, vocabulary, changes), "test.gguf"));
}

const u32 = (value: number): GgufValue => ({ type: "u32", value });
const f32 = (value: number): GgufValue => ({ type: "f32", value });
const text = (value: string): GgufValue => ({ type: "string", value });

describe("the config of a GGUF", () => {
  it("has what the keys say and, where they are missing, what the specification says", async () => {
    // the default for kv heads is as many as heads, and so another model
    const mha = randomCheckpoint({
      config: smallConfig({ ...config, nKvHeads: 4, kvDim: 16 }),
      type: "F32",
      seed: 5,
    });
    const missing = {
      "llama.attention.head_count_kv": undefined,
      "llama.attention.key_length": undefined,
      "llama.attention.value_length": undefined,
      "llama.rope.dimension_count": undefined,
      "llama.rope.freq_base": undefined,
      "llama.vocab_size": undefined,
    };
    const file = await checkpointToGguf(mha, vocabulary, missing);
    const { config: keys } = await openCheckpoint(bytesSource(file));
    expect(keys).toMatchObject({
      nKvHeads: 4,
      headDim: 4,
      kvDim: 16,
      ropeDim: 4,
      ropeBase: 10000,
      vocabSize: 20,
    });

    const changed = await openWith({
      "llama.rope.freq_base": f32(1e6),
      "llama.rope.dimension_count": u32(2),
      "llama.context_length": { type: "u64", value: 4096n },
    });
    expect(changed.config).toMatchObject({ ropeBase: 1e6, ropeDim: 2, contextLength: 4096 });
  });

  it("takes heads that are not dim / heads wide", async () => {
    const wide = smallConfig({
      dim: 12,
      hiddenDim: 20,
      nHeads: 2,
      nKvHeads: 1,
      headDim: 8,
      nLayers: 1,
      vocabSize: 20,
    });
    const file = await checkpointToGguf(randomCheckpoint({ config: wide, type: "F32", seed: 1 }), vocabulary);
    expect((await openCheckpoint(bytesSource(file))).config).toMatchObject({ dim: 12, headDim: 8, kvDim: 8 });
  });

  const harmless: [string, Changes][] = [
    ["rope scaling of type none", { "llama.rope.scaling.type": text("none") }],
    [
      "rope scaling of type linear by 1",
      { "llama.rope.scaling.type": text("linear"), "llama.rope.scaling.factor": f32(1) },
    ],
    ["the older scale_linear of 1", { "llama.rope.scale_linear": f32(1) }],
    ["no experts", { "llama.expert_count": u32(0), "llama.expert_used_count": u32(0) }],
    ["no sliding window", { "llama.attention.sliding_window": u32(0) }],
    ["causal attention", { "llama.attention.causal": { type: "bool", value: true } }],
    ["a layout note of the first converters", { "llama.tensor_data_layout": text("Meta AI original pth") }],
    ["keys of other architectures and other programs", { "qwen2.expert_count": u32(8), "my.key": u32(1) }],
    [
      "what quantizers leave behind",
      {
        "general.quantization_version": u32(2),
        "general.file_type": u32(2),
        "quantize.imatrix.file": text("x"),
      },
    ],
    [
      "head counts for each layer, all alike",
      { "llama.attention.head_count_kv": { type: "i32[]", value: [2, 2] } },
    ],
    ["being one part of one", { "split.count": { type: "u16", value: 1 } }],
  ];
  it.each(harmless)("opens with %s", async (_, changes) => {
    const { config: found } = await openWith(changes);
    expect(found).toMatchObject({ nLayers: 2, nHeads: 4, nKvHeads: 2, vocabSize: 20 });
  });
});

describe("a GGUF whose config cannot be is a ModelError", () => {
  const cases: [string, Changes, RegExp][] = [
    ["no architecture", { "general.architecture": undefined }, /general.architecture: expected "llama"/],
    ["no layer count", { "llama.block_count": undefined }, /llama.block_count: expected a number/],
    [
      "no epsilon",
      { "llama.attention.layer_norm_rms_epsilon": undefined },
      /layer_norm_rms_epsilon: expected/,
    ],
    [
      "a layer count that is text",
      { "llama.block_count": text("2") },
      /block_count: expected an integer.*string/,
    ],
    [
      "a layer count that is a float",
      { "llama.block_count": f32(2) },
      /block_count: expected an integer.*f32/,
    ],
    ["0 layers", { "llama.block_count": u32(0) }, /llama.block_count: expected 1 to .*found 0/],
    ["-1 layers", { "llama.block_count": { type: "i32", value: -1 } }, /block_count: .*found -1/],
    ["4 billion layers", { "llama.block_count": u32(2 ** 32 - 1) }, /block_count: .*found 4294967295/],
    ["2^63 layers", { "llama.block_count": { type: "u64", value: 2n ** 63n } }, /block_count: .*found 922/],
    ["0 heads", { "llama.attention.head_count": u32(0) }, /head_count: expected 1 to .*found 0/],
    ["0 kv heads", { "llama.attention.head_count_kv": u32(0) }, /head_count_kv: expected 1 to .*found 0/],
    [
      "kv heads that do not divide the heads",
      { "llama.attention.head_count_kv": u32(3) },
      /head_count_kv: .*found 3/,
    ],
    ["more kv heads than heads", { "llama.attention.head_count_kv": u32(8) }, /head_count_kv: .*found 8/],
    ["dim 0", { "llama.embedding_length": u32(0) }, /embedding_length: expected 1 to .*found 0/],
    [
      "a dim that the heads do not divide",
      { "llama.attention.head_count": u32(3), "llama.attention.key_length": undefined },
      /embedding_length: expected a multiple of the 3 heads, found 16/,
    ],
    ["an odd head", { "llama.attention.key_length": u32(5) }, /key_length: expected an even .*found 5/],
    ["a head of size 0", { "llama.attention.key_length": u32(0) }, /key_length: expected an even .*found 0/],
    ["no hidden dimension", { "llama.feed_forward_length": u32(0) }, /feed_forward_length: .*found 0/],
    ["no context", { "llama.context_length": u32(0) }, /context_length: .*found 0/],
    [
      "a context of 4 billion",
      { "llama.context_length": u32(2 ** 32 - 1) },
      /context_length: .*found 4294967295/,
    ],
    ...[Number.NaN, 0, -1e-5, Number.POSITIVE_INFINITY].map((eps): (typeof cases)[number] => [
      `an epsilon of ${eps}`,
      { "llama.attention.layer_norm_rms_epsilon": f32(eps) },
      /layer_norm_rms_epsilon: expected a finite number above 0, found/,
    ]),
    ...[Number.NaN, 0, -10000, Number.POSITIVE_INFINITY].map((base): (typeof cases)[number] => [
      `a rope base of ${base}`,
      { "llama.rope.freq_base": f32(base) },
      /freq_base: expected a finite number from 1 up, found/,
    ]),
    ...[0, 3, 6].map((ropeDim): (typeof cases)[number] => [
      `${ropeDim} rotated dimensions of 4`,
      { "llama.rope.dimension_count": u32(ropeDim) },
      /rope.dimension_count: expected an even number from 2 to the head's 4, found/,
    ]),
    [
      "head counts for another number of layers",
      { "llama.attention.head_count": { type: "u32[]", value: [4, 4, 4] } },
      /head_count: expected one number for each of 2 layers, found 3/,
    ],
    // row 16
    [
      "another vocab_size than rows",
      { "llama.vocab_size": u32(21) },
      /token_embd.weight: expected \[21, 16\], found \[20, 16\]/,
    ],
  ];
  it.each(cases)("%s", async (_, changes, message) => {
    await expect(openWith(changes)).rejects.toThrow(ModelError);
    await expect(openWith(changes)).rejects.toThrow(message);
    await expect(openWith(changes)).rejects.toThrow(/^Cannot load test\.gguf: /);
  });
});

describe("a GGUF that asks for what is not computed is an UnsupportedError", () => {
  const cases: [string, Changes, RegExp][] = [
    [
      "another architecture",
      { "general.architecture": text("qwen2") },
      /only "llama" is supported, found "qwen2"/,
    ],
    ["an adapter", { "general.type": text("adapter") }, /general.type: .*found "adapter"/],
    ["linear rope scaling", { "llama.rope.scaling.factor": f32(4) }, /rope.scaling.factor 4/],
    ["linear rope scaling by its older key", { "llama.rope.scale_linear": f32(2) }, /rope.scale_linear 2/],
    ["yarn", { "llama.rope.scaling.type": text("yarn") }, /rope.scaling.type yarn/],
    ["longrope", { "llama.rope.scaling.type": text("longrope") }, /rope.scaling.type longrope/],
    ["an attention factor", { "llama.rope.scaling.attn_factor": f32(1.2) }, /rope.scaling.attn_factor 1.2/],
    ["experts", { "llama.expert_count": u32(8) }, /llama.expert_count 8/],
    ["a sliding window", { "llama.attention.sliding_window": u32(4096) }, /sliding_window 4096/],
    [
      "attention that is not causal",
      { "llama.attention.causal": { type: "bool", value: false } },
      /causal false/,
    ],
    ["logits with a cap", { "llama.final_logit_softcapping": f32(30) }, /final_logit_softcapping 30/],
    [
      "a key from the future",
      { "llama.attention.new_trick": u32(1) },
      /llama.attention.new_trick: .*not known/,
    ],
    [
      "values of another width than keys",
      { "llama.attention.value_length": u32(8) },
      /values \(8\).*keys \(4\)/,
    ],
    [
      "head counts that differ between layers",
      { "llama.attention.head_count_kv": { type: "i32[]", value: [2, 1] } },
      /layers that differ \(llama.attention.head_count_kv: 2 and 1\)/,
    ],
  ];
  it.each(cases)("%s", async (_, changes, message) => {
    await expect(openWith(changes)).rejects.toThrow(UnsupportedError);
    await expect(openWith(changes)).rejects.toThrow(message);
    await expect(openWith(changes)).rejects.toThrow(/^Cannot load test\.gguf: /);
  });
});
