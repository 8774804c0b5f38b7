import { describe, expect, it } from "vitest";
import { randomCheckpoint, smallConfig } from "../../test/random-model.js";
import { checkpointToGguf, type GgufValue, plainVocabulary } from "../../test/write-gguf.js";
import { ModelError } from "../errors.js";
import type { Checkpoint, Vocabulary } from "./checkpoint.js";
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
const tokens = (value: readonly string[]): GgufValue => ({ type: "string[]", value });

describe("the vocabulary of a GGUF", () => {
  it("gives its vocabulary as plain data", async () => {
    const chat: Vocabulary = {
      ...vocabulary,
      eot: 19,
      addBos: false,
      addEos: true,
      addSpacePrefix: false,
    };
    const file = await checkpointToGguf(random, chat);
    const { vocabulary: found } = await openCheckpoint(bytesSource(file));
    expect(found).toEqual(chat);
  });

  const incomplete: [string, Changes][] = [
    ["no vocabulary", { "tokenizer.ggml.tokens": undefined }],
    ["a vocabulary without scores", { "tokenizer.ggml.scores": undefined }],
    ["a vocabulary without types", { "tokenizer.ggml.token_type": undefined }],
    ["a vocabulary without a model", { "tokenizer.ggml.model": undefined }],
    ["a padding id of -1 as a u32", { "tokenizer.ggml.padding_token_id": u32(2 ** 32 - 1) }],
  ];
  it.each(incomplete)("may have %s", async (_, changes) => {
    const { config: found, special } = await openWith(changes);
    expect(found.vocabSize).toBe(20);
    expect(special).toEqual({ bos: 1, eos: 2 });
  });

  it("takes a special id of -1 for none, and does not guess ids for tokens of other names", async () => {
    const names = vocabulary.tokens.map((_, i) => `<tok_${i}>`);
    const { special } = await openWith({
      "tokenizer.ggml.tokens": tokens(names),
      "tokenizer.ggml.bos_token_id": u32(2 ** 32 - 1),
      "tokenizer.ggml.eos_token_id": { type: "i32", value: -1 },
    });
    expect(special).toEqual({});
  });

  it("takes Llama's <s> and </s> for its ids where it gives none, as llama.cpp does", async () => {
    const opened = await openWith({
      "tokenizer.ggml.bos_token_id": undefined,
      "tokenizer.ggml.eos_token_id": undefined,
      "tokenizer.ggml.unknown_token_id": undefined,
    });
    expect(opened.special).toEqual({ bos: 1, eos: 2 });
    expect(opened.vocabulary).toMatchObject({ bos: 1, eos: 2, unk: 0 });
  });

  it("finds the end of a turn by its id, or by the name that chat models give it", async () => {
    const byId = await openWith({ "tokenizer.ggml.eot_token_id": u32(7) });
    expect(byId.special.eot).toBe(7);
    const names = vocabulary.tokens.with(19, "<|im_end|>");
    const control = Array.from(vocabulary.types!).with(19, 3);
    const types = { type: "i32[]", value: control };
    const byName = await openWith({
      "tokenizer.ggml.tokens": tokens(names),
      "tokenizer.ggml.token_type": types,
    });
    expect(byName.special.eot).toBe(19);
    const spelled = await openWith({ "tokenizer.ggml.tokens": tokens(names) });
    expect(spelled.special.eot).toBeUndefined();
  });
});

describe("a GGUF whose vocabulary does not go with the model is a ModelError", () => {
  const cases: [string, Changes, RegExp][] = [
    // row 16
    [
      "19 tokens for 20 rows",
      { "tokenizer.ggml.tokens": tokens(vocabulary.tokens.slice(1)) },
      /expected 20 .*found 19/,
    ],
    ["no tokens at all", { "tokenizer.ggml.tokens": tokens([]) }, /expected 20 .*found 0/],
    [
      "a bos id out of range",
      { "tokenizer.ggml.bos_token_id": u32(20) },
      /bos_token_id: expected .*0 to 19, found 20/,
    ],
    [
      "an eos id out of range",
      { "tokenizer.ggml.eos_token_id": u32(2 ** 31) },
      /eos_token_id: .*found 2147483648/,
    ],
    [
      "an eot id below 0",
      { "tokenizer.ggml.eot_token_id": { type: "i32", value: -2 } },
      /eot_token_id: .*found -2/,
    ],
    [
      "an unk id out of range",
      { "tokenizer.ggml.unknown_token_id": u32(99) },
      /unknown_token_id: .*found 99/,
    ],
    [
      "tokens that are numbers",
      { "tokenizer.ggml.tokens": { type: "i32[]", value: [1] } },
      /tokens: expected an array of strings/,
    ],
    [
      "scores that are text",
      { "tokenizer.ggml.scores": tokens(["1"]) },
      /scores: expected an array of numbers/,
    ],
    [
      "an add_bos that is a number",
      { "tokenizer.ggml.add_bos_token": u32(1) },
      /add_bos_token: expected a bool/,
    ],
  ];
  it.each(cases)("%s", async (_, changes, message) => {
    await expect(openWith(changes)).rejects.toThrow(ModelError);
    await expect(openWith(changes)).rejects.toThrow(message);
    await expect(openWith(changes)).rejects.toThrow(/^Cannot load test\.gguf: /);
  });
});
