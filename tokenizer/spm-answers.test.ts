import { describe, expect, it } from "vitest";
import { readSpmAnswers } from "../test/spm-answers.js";
import { openTokenizer } from "./index.js";

const models = readSpmAnswers();

it("SentencePiece's stored answers are there: 15 models of all types, 150 texts each", () => {
  expect(models.map(({ name }) => name)).toEqual([
    "bpe_bytes",
    "bpe_identity_keep",
    "bpe_symbols_suffix",
    "bpe_symbols_suffix_restricted",
    "bpe_across_words",
    "bpe_rules",
    "bpe_rules_unused",
    "unigram",
    "unigram_restricted",
    "unigram_bytes_fold",
    "unigram_symbols_keep",
    "unigram_symbols_keep_unused",
    "word",
    "char",
    "char_unused",
  ]);
  for (const { texts } of models) expect(texts).toHaveLength(150);
});

describe.each(models)("as SentencePiece 0.1.97 with $name, the tokenizer", ({ bytes, vocabulary, texts }) => {
  const tokenizer = openTokenizer(bytes, { vocabulary });

  it("encodes", () => {
    for (const { text, ids } of texts) expect([text, tokenizer.encode(text)]).toEqual([text, ids]);
  });

  it("says which characters of the text each piece was made of", () => {
    for (const { text, offsets } of texts) {
      const characters = (end: number) => [...text.slice(0, end)].length;
      const places = tokenizer.encodePieces(text).flatMap(({ begin, end }) => [begin, end].map(characters));
      expect([text, places]).toEqual([text, offsets]);
    }
  });

  it("normalizes", () => {
    for (const { text, normalized } of texts) {
      expect([text, tokenizer.normalize(text)]).toEqual([text, normalized]);
    }
  });

  it("decodes", () => {
    for (const { text, ids, decoded } of texts) {
      expect([text, tokenizer.decode(ids)]).toEqual([text, decoded]);
      const pieces = ids.map((id) => tokenizer.piece(id));
      expect([text, tokenizer.decodePieces(pieces)]).toEqual([text, decoded]);
    }
  });
});
