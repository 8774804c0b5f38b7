import { describe, expect, it } from "vitest";
import { bytePieces, specialPieces, writeModelProto } from "../test/model-proto-writer.js";
import { openTokenizer } from "./index.js";

function open(
  modelType: number,
  pieces: readonly string[],
  { addDummyPrefix = true, byteFallback = false } = {},
) {
  return openTokenizer(
    writeModelProto({
      pieces: [
        ...specialPieces,
        ...(byteFallback ? bytePieces : []),
        { piece: "<sep>", type: 4 },
        ...pieces.map((piece) => ({ piece })),
      ],
      trainer: { modelType, byteFallback },
      normalizer: { removeExtraWhitespaces: false, addDummyPrefix },
    }),
  );
}

function encodeAll(
  tokenizer: ReturnType<typeof open>,
  texts: Record<string, number[]>,
): Record<string, number[]> {
  return Object.fromEntries(Object.keys(texts).map((text) => [text, tokenizer.encode(text)]));
}

// Expected ids are those of spm_encode 0.1.97 with the same model.
describe("a char model", () => {
  it("gives each character and each user-defined symbol", () => {
    const expected = {
      ab: [4, 5, 6],
      "a b日c": [4, 5, 4, 6, 8, 0],
      "xyz a": [4, 0, 4, 5],
      "a<sep>b": [4, 5, 3, 6],
    };
    expect(encodeAll(open(4, ["▁", "a", "b", "ab", "日"]), expected)).toEqual(expected);
  });

  it("gives unknown characters as bytes", () => {
    const expected = { aé: [260, 261, 198, 172], "日 a": [260, 233, 154, 168, 260, 261] };
    expect(encodeAll(open(4, ["▁", "a"], { byteFallback: true }), expected)).toEqual(expected);
  });
});

describe("a word model", () => {
  it("gives the words, each with the space in front", () => {
    const expected = {
      a: [5],
      ab: [6],
      "a  ab": [5, 4, 6],
      b: [0],
      "xx yy a": [0, 5],
      "<sep> a": [0, 5],
      "a▁ab": [5, 6],
    };
    expect(encodeAll(open(3, ["▁", "▁a", "▁ab", "b"]), expected)).toEqual(expected);
  });

  it("takes a byte piece's name for the byte piece, as a word of its own", () => {
    const expected = { "<0x41>": [68], "<0x41> a": [68, 260], "b a": [261, 260], "é a": [198, 172, 260] };
    expect(encodeAll(open(3, ["▁a", "b"], { addDummyPrefix: false, byteFallback: true }), expected)).toEqual(
      expected,
    );
  });

  it("does not find control pieces in text, where SentencePiece gives up", () => {
    const tokenizer = open(3, ["▁a"], { addDummyPrefix: false });
    expect(tokenizer.encode("<s>")).toEqual([0]);
    expect(tokenizer.encode("<s> a")).toEqual([0, 4]);
  });
});
