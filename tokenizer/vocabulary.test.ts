import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  bytePieces,
  type ModelDescription,
  specialPieces,
  writeModelProto,
} from "../test/model-proto-writer.js";
import { sharedData } from "../test/shared-data.js";
import { smallModel, smallModelBytes } from "../test/small-tokenizer.js";
import { openTokenizer, UnsupportedTokenizerError } from "./index.js";

const texts = [
  "the cat sat on the mat",
  "  once upon a time",
  "",
  "日本 é\u{1f600}\n\tx",
  "<s> and the </s>",
];

/** A tokenizer.json of these pieces, with merges, the first the most urgent. */
function tokenizerJson(pieces: readonly string[], merges: readonly string[]): Uint8Array {
  const all = ["<unk>", "<s>", "</s>", ...bytePieces.map(({ piece }) => piece), ...pieces];
  return new TextEncoder().encode(
    JSON.stringify({
      added_tokens: ["<unk>", "<s>", "</s>"].map((content, id) => ({ id, content, special: true })),
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
          { type: "ByteFallback" },
          { type: "Fuse" },
          { type: "Strip", content: " ", start: 1, stop: 0 },
        ],
      },
      model: {
        type: "BPE",
        unk_token: "<unk>",
        fuse_unk: true,
        byte_fallback: true,
        vocab: Object.fromEntries(all.map((piece, id) => [piece, id])),
        merges,
      },
    }),
  );
}

describe("vocabulary()", () => {
  it("has the pieces, scores and types that the model file has", () => {
    const { tokens, scores, types, ...rest } = openTokenizer(smallModelBytes()).vocabulary();
    expect(tokens).toEqual(smallModel.pieces.map(({ piece }) => piece));
    expect(Array.from(scores!)).toEqual(smallModel.pieces.map(({ score }) => score ?? 0));
    expect(Array.from(types!)).toEqual(smallModel.pieces.map(({ type }) => type ?? 1));
    expect(rest).toEqual({ model: "llama", bos: 1, eos: 2, unk: 0, addSpacePrefix: true });
  });

  it("makes the same tokenizer again", () => {
    const tokenizer = openTokenizer(smallModelBytes());
    const again = openTokenizer(tokenizer.vocabulary());
    for (const text of texts) expect(again.encode(text)).toEqual(tokenizer.encode(text));
  });

  it("turns merges into scores in their order", () => {
    const bytes = tokenizerJson(["▁", "a", "b", "ab", "▁a", "▁ab"], ["a b", "▁ a", "▁ ab", "▁a b"]);
    const { tokens, scores } = openTokenizer(bytes).vocabulary();
    const scoreOf = (piece: string) => scores![tokens.indexOf(piece)]!;
    expect(scoreOf("ab")).toBeGreaterThan(scoreOf("▁a"));
    expect(scoreOf("▁a")).toBeGreaterThan(scoreOf("▁ab"));
  });

  it.each([
    [
      "merges that are missing",
      ["a b", "▁ a", "▁ ab"],
      /expected a merge for each two pieces that make "▁ab"/,
    ],
    [
      "merges in another order than the pieces",
      ["▁ ab", "a b", "▁ a", "▁a b"],
      /expected merges that make "▁ab" after those that make "▁a"/,
    ],
  ])("refuses %s", (_, merges, message) => {
    const tokenizer = openTokenizer(tokenizerJson(["▁", "a", "b", "ab", "▁a", "▁ab"], merges));
    expect(() => tokenizer.vocabulary()).toThrow(UnsupportedTokenizerError);
    expect(() => tokenizer.vocabulary()).toThrow(message);
  });

  it.each([
    [
      "a unigram vocabulary",
      { trainer: { modelType: 1, byteFallback: true } },
      /type unigram cannot be said/,
    ],
    [
      "no byte fallback",
      { pieces: [...specialPieces, { piece: "a" }], trainer: { modelType: 2 } },
      /without byte fallback/,
    ],
    [
      "spaces that are removed",
      { normalizer: { removeExtraWhitespaces: true, escapeWhitespaces: true } },
      /the removal of extra spaces cannot be said/,
    ],
  ])("refuses %s", (_, changes, message) => {
    const pieces = [...specialPieces, ...bytePieces, { piece: "▁" }, { piece: "a" }];
    const bytes = writeModelProto({ ...smallModel, pieces, ...(changes as Partial<ModelDescription>) });
    expect(() => openTokenizer(bytes).vocabulary()).toThrow(message);
  });

  const folder = sharedData("tokenizers/llama2");
  it.skipIf(!folder)(
    "of Llama 2's tokenizer.json is that of its tokenizer.model (skipped without ../shared)",
    () => {
      const read = (file: string) => openTokenizer(new Uint8Array(readFileSync(`${folder}/${file}`)));
      const fromModel = read("tokenizer.model").vocabulary();
      const fromJson = read("hf_llama_tokenizer.json").vocabulary();
      expect(fromJson.tokens).toEqual(fromModel.tokens);
      expect(fromJson.types).toEqual(fromModel.types);
      // of characters only the place among the others differs, which nothing asks for
      expect(Array.from(fromJson.scores!).slice(259, 29871)).toEqual(
        Array.from(fromModel.scores!).slice(259, 29871),
      );

      const again = openTokenizer(fromJson);
      const model = openTokenizer(fromModel);
      const original = read("tokenizer.model");
      const spaces = Array.from({ length: 70 }, (_, length) => `x${" ".repeat(length)}`).join("");
      const text = readFileSync(sharedData("text/wiki.test.raw")!, "utf8").slice(0, 50_000) + spaces;
      expect(again.encode(text)).toEqual(original.encode(text));
      expect(model.encode(text)).toEqual(original.encode(text));
    },
  );
});
