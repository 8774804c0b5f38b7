import { describe, expect, it } from "vitest";
import { goldEncodings, goldExtra, goldFolder, goldModel } from "../test/gold.js";
import { smallModelBytes } from "../test/small-tokenizer.js";
import { openTokenizer } from "./index.js";

const models = [
  "llama2",
  "bpe_nodummy_keep",
  "bpe_uds",
  "bpe_suf",
  "bpe_custom_denorm",
  "char_bf_uds",
  "word_nmt",
  "uni_nmt",
  "uni_keepws",
  "uni_uds",
  "uni_nmtcf_bf_suf",
];

describe.skipIf(!goldFolder)("encodePieces(), against SentencePiece 0.1.97,", () => {
  it.each(models)("gives the ids and offsets of 3,617 nasty texts with %s", (model) => {
    const tokenizer = openTokenizer(goldModel(model));
    const wrong = goldEncodings(model).filter(({ text, ids, offsets }) => {
      const pieces = tokenizer.encodePieces(text);
      return (
        pieces.map(({ id }) => id).join() !== ids.join() ||
        pieces.map(({ begin, end }) => [begin, end]).join() !== offsets.join()
      );
    });
    expect(wrong.map(({ name }) => name)).toEqual([]);
  });

  it("counts in UTF-16 units for strings what it counts in bytes for bytes", () => {
    const tokenizer = openTokenizer(goldModel("uni_nmt"));
    let compared = 0;
    for (const { text } of goldEncodings("uni_nmt")) {
      const string = new TextDecoder("utf-8", { ignoreBOM: true }).decode(text);
      const bytes = new TextEncoder().encode(string);
      const units = tokenizer.encodePieces(string);
      tokenizer.encodePieces(bytes).forEach(({ id, begin, end }, i) => {
        const before = Buffer.from(bytes.subarray(0, begin)).toString();
        const through = Buffer.from(bytes.subarray(0, end)).toString();
        expect([units[i]!.id, units[i]!.begin, units[i]!.end]).toEqual([id, before.length, through.length]);
        compared++;
      });
    }
    expect(compared).toBeGreaterThan(50_000);
  });

  it("applies the extra options in the order in which they are given", () => {
    let compared = 0;
    for (const { m, opt, out } of goldExtra()) {
      if (opt === undefined || !out || !["llama2", "uni_nmt", "uni_uds"].includes(m)) continue;
      // unk_piece is another name of unk; an empty option is none
      const extra = opt.split(":").flatMap((name) => (name === "" ? [] : [name.replace("unk_piece", "unk")]));
      const tokenizer = openTokenizer(goldModel(m));
      for (const { t, pieces } of out) {
        const found = tokenizer.encodePieces(new TextEncoder().encode(t), { extra: extra as never });
        expect(found.map(({ id, begin, end, piece }) => [id, begin, end, piece])).toEqual(pieces);
        compared++;
      }
    }
    expect(compared).toBe(165);
  });
});

describe("encodePieces()", () => {
  const tokenizer = openTokenizer(smallModelBytes());

  it("says which part of a string each piece was made of", () => {
    const text = "the cat\u{1f600} sat";
    const pieces = tokenizer.encodePieces(text);
    expect(pieces.map(({ piece, begin, end }) => [piece, text.slice(begin, end)])).toEqual([
      ["▁the", "the"],
      ["▁cat", " cat"],
      ["\u{1f600}", "\u{1f600}"],
      ["▁sat", " sat"],
    ]);
    expect(pieces.map(({ id }) => id)).toEqual(tokenizer.encode(text));
  });

  it("gives a character to the last of its byte pieces", () => {
    const text = "a\u{1f680}b\ud800";
    const pieces = tokenizer.encodePieces(text);
    expect(pieces.map(({ piece, begin, end }) => [piece, begin, end])).toEqual([
      ["▁a", 0, 1],
      ["<0xF0>", 1, 1],
      ["<0x9F>", 1, 1],
      ["<0x9A>", 1, 1],
      ["<0x80>", 1, 3],
      ["b", 3, 4],
      ["<0xEF>", 4, 4],
      ["<0xBF>", 4, 4],
      ["<0xBD>", 4, 5],
    ]);
  });

  it("adds bos and eos outside of everything else", () => {
    const ids = (options: Parameters<typeof tokenizer.encodePieces>[1]) =>
      tokenizer.encodePieces("the cat", options).map(({ piece }) => piece);
    expect(ids({ bos: true, eos: true })).toEqual(["<s>", "▁the", "▁cat", "</s>"]);
    expect(ids({ bos: true, extra: ["reverse"] })).toEqual(["<s>", "▁cat", "▁the"]);
    expect(() => ids({ extra: ["BOS" as never] })).toThrow("found BOS");
  });
});
