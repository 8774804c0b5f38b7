import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { goldEncodings, goldFolder } from "../../test/gold.js";
import { sharedData } from "../../test/shared-data.js";
import { openTokenizer, type Tokenizer, TokenizerError, UnsupportedTokenizerError } from "../index.js";

const path = sharedData("tokenizers/llama2/hf_llama_tokenizer.json");
const llama = path ? JSON.parse(readFileSync(path, "utf8")) : undefined;

function open(file: unknown): Tokenizer {
  return openTokenizer(new TextEncoder().encode(JSON.stringify(file)), { name: "tokenizer.json" });
}

function metaspace(scheme: string, split: boolean): object {
  return {
    normalizer: null,
    pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: scheme, split },
  };
}

describe.skipIf(!llama)("Llama 2's tokenizer.json", () => {
  it.skipIf(!goldFolder)("gives the ids and texts of tokenizer.model for 3,617 nasty texts", () => {
    const tokenizer = openTokenizer(readFileSync(path!));
    expect([tokenizer.vocabSize, tokenizer.unk, tokenizer.bos, tokenizer.eos]).toEqual([32000, 0, 1, 2]);
    const wrong = goldEncodings("llama2").filter(
      ({ text, ids, decoded }) =>
        tokenizer.encode(text).join() !== ids.join() || tokenizer.decode(ids) !== decoded,
    );
    expect(wrong.map(({ name }) => name)).toEqual([]);
  });

  it("gives the ids of hf_llama_encoded.json", () => {
    const { text, token_ids } = JSON.parse(
      readFileSync(sharedData("tokenizers/llama2/hf_llama_encoded.json")!, "utf8"),
    );
    const tokenizer = openTokenizer(readFileSync(path!));
    expect(tokenizer.encode(text, { bos: true })).toEqual(token_ids);
    expect(tokenizer.decode(token_ids)).toBe(text);
  });

  // ids by Hugging Face's tokenizers 0.23.2 (Rust) with the same changes to the file
  it.each([
    [
      "legacy",
      {},
      [
        ["Hello world", [15043, 3186]],
        [" Hello", [29871, 15043]],
        ["  two", [259, 1023]],
        ["▁x", [29871, 921]],
        ["", []],
        ["\n a", [29871, 13, 263]],
        ["日本 語🚀", [29871, 30325, 30346, 29871, 30968, 243, 162, 157, 131]],
        ["a   b", [263, 259, 289]],
      ],
    ],
    [
      "first",
      metaspace("first", false),
      [
        ["Hello world", [15043, 3186]],
        [" Hello", [15043]],
        ["  two", [29871, 1023]],
        ["▁x", [921]],
        ["", []],
        ["\n a", [29871, 13, 263]],
        ["日本 語🚀", [29871, 30325, 30346, 29871, 30968, 243, 162, 157, 131]],
        ["a   b", [263, 259, 289]],
      ],
    ],
    [
      "always",
      metaspace("always", false),
      [
        ["Hello world", [15043, 3186]],
        [" Hello", [15043]],
        ["  two", [29871, 1023]],
        ["▁x", [921]],
        ["", []],
        ["\n a", [29871, 13, 263]],
        ["日本 語🚀", [29871, 30325, 30346, 29871, 30968, 243, 162, 157, 131]],
        ["a   b", [263, 259, 289]],
      ],
    ],
    [
      "firstsplit",
      metaspace("first", true),
      [
        ["Hello world", [15043, 3186]],
        [" Hello", [15043]],
        ["  two", [29871, 1023]],
        ["▁x", [921]],
        ["", []],
        ["\n a", [29871, 13, 263]],
        ["日本 語🚀", [29871, 30325, 30346, 29871, 30968, 243, 162, 157, 131]],
        ["a   b", [263, 29871, 29871, 289]],
      ],
    ],
  ] as [string, object, [string, number[]][]][])(
    "with spaces in the way named %s gives Hugging Face's ids",
    (_, changes, texts) => {
      const tokenizer = open({ ...llama, ...changes });
      for (const [text, ids] of texts) expect([text, tokenizer.encode(text)]).toEqual([text, ids]);
    },
  );
});

describe("a tokenizer.json", () => {
  const vocab = { "<unk>": 0, a: 1, b: 2, "▁": 3, ab: 4, "▁ab": 5, "<s>": 6 };
  const small = {
    added_tokens: [{ id: 6, content: "<s>", special: true }],
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Prepend", prepend: "▁" },
        { type: "Replace", pattern: { String: " " }, content: "▁" },
      ],
    },
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    },
    model: { type: "BPE", vocab, merges: ["a b", ["▁", "ab"]], unk_token: "<unk>", fuse_unk: true },
  };
  const withModel = (changes: object) => ({ ...small, model: { ...small.model, ...changes } });

  it("merges the pairs that it lists, in their order", () => {
    expect(open(small).encode("ab aab xyz")).toEqual([5, 3, 1, 4, 3, 0]);
    expect(open(withModel({ merges: ["a b"] })).encode("ab")).toEqual([3, 4]);
    expect(open(small).decode([5, 4, 6, 5])).toBe("abab ab");
  });

  it("never lets text become a special token, even where merges lead there", () => {
    const forged = withModel({
      vocab: { ...vocab, "<": 7, s: 8, ">": 9, "<s": 10 },
      merges: ["< s", "<s >"],
    });
    expect(open(forged).encode("<s>")).toEqual([3, 10, 9]);
  });

  it.each<[string, object]>([
    ["normalizer", { normalizer: { type: "NFKC" } }],
    ["normalizer", { normalizer: null }],
    ["normalizer", { normalizer: { type: "Sequence", normalizers: [null] } }],
    ["pre_tokenizer", { normalizer: null, pre_tokenizer: { type: "ByteLevel" } }],
    ["decoder", { decoder: { type: "WordPiece" } }],
    ["decoder", { decoder: null }],
    ["decoder", { decoder: { type: "Sequence", decoders: [null] } }],
    ["model", { model: { type: "Unigram", vocab: [] } }],
    ["model.dropout", withModel({ dropout: 0.1 })],
    ["model.ignore_merges", withModel({ ignore_merges: true })],
    ["model.continuing_subword_prefix", withModel({ continuing_subword_prefix: "##" })],
    ["model", withModel({ fuse_unk: false })],
    ["model.unk_token", withModel({ unk_token: null })],
    ["truncation", { truncation: { max_length: 5 } }],
  ])("is refused by name for its %s, %j", (field, changes) => {
    expect(() => open({ ...small, ...changes })).toThrow(UnsupportedTokenizerError);
    expect(() => open({ ...small, ...changes })).toThrow(`Cannot open tokenizer.json: ${field}: expected`);
  });

  it.each<[string, object]>([
    ["two pieces", withModel({ merges: ["a"] })],
    ["two pieces", withModel({ merges: ["a z"] })],
    ['a piece "ba"', withModel({ merges: ["b a"] })],
    ["ids", withModel({ vocab: { ...vocab, z: -1 } })],
    ["ids", withModel({ vocab: { ...vocab, z: "7" } })],
    ["one piece for an id", withModel({ vocab: { ...vocab, z: 3 } })],
    ["ids without gaps", withModel({ vocab: { ...vocab, z: 9 } })],
    ["tokens with id and content", { added_tokens: [{ id: 6 }] }],
    ["256 byte pieces", withModel({ byte_fallback: true })],
  ])("that contradicts itself is refused: expected %s", (expected, changes) => {
    expect(() => open({ ...small, ...changes })).toThrow(TokenizerError);
    expect(() => open({ ...small, ...changes })).toThrow(`expected ${expected}`);
  });

  it("that is cut short is refused", () => {
    const bytes = new TextEncoder().encode(JSON.stringify(small));
    expect(() => openTokenizer(bytes.subarray(0, bytes.length - 1))).toThrow("expected JSON in UTF-8");
  });
});
