import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { goldEncodings, goldFolder, goldModel } from "../test/gold.js";
import { sharedData } from "../test/shared-data.js";
import { smallModel, smallModelBytes } from "../test/small-tokenizer.js";
import { openTokenizer } from "./index.js";

const path = sharedData("tokenizers/llama2/hf_llama_tokenizer.json");
const llama = path ? JSON.parse(readFileSync(path, "utf8")) : undefined;
const first = {
  normalizer: null,
  pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: false },
};

describe.skipIf(!llama)("special tokens of a tokenizer.json", () => {
  // ids by Hugging Face's tokenizers 0.23.2 (Rust), with the same changes to the file and [INST] added
  it.each([
    [
      "legacy normalized",
      { normalized: true },
      {},
      [
        ["<s>Hello", [1, 10994]],
        ["<s> Hello </s> world", [1, 15043, 2, 3186]],
        ["a<s>b", [263, 29966, 29879, 29958, 29890]],
        ["[INST] x [INST]y", [32000, 921, 32000, 29891]],
        ["a [INST]  b", [263, 32000, 29871, 289]],
        ["x[INST]", [921, 29961, 25580, 29962]],
        ["<s>", [1]],
        ["  <s>  <s>a", [259, 1, 29871, 1, 29874]],
        ["[INST]</s><s>", [32000, 829, 29879, 5299, 29879, 29958]],
      ],
    ],
    [
      "legacy raw",
      { normalized: false },
      {},
      [
        ["<s>Hello", [1, 15043]],
        ["<s> Hello </s> world", [1, 29871, 15043, 29871, 2, 29871, 3186]],
        ["a<s>b", [263, 1, 289]],
        ["[INST] x [INST]y", [32000, 29871, 921, 29871, 32000, 343]],
        ["a [INST]  b", [263, 29871, 32000, 259, 289]],
        ["x[INST]", [921, 32000]],
        ["<s>", [1]],
        ["  <s>  <s>a", [1678, 1, 1678, 1, 263]],
        ["[INST]</s><s>", [32000, 2, 1]],
      ],
    ],
    [
      "first raw",
      { normalized: false },
      first,
      [
        ["<s>Hello", [1, 10994]],
        ["<s> Hello </s> world", [1, 15043, 29871, 2, 3186]],
        ["a<s>b", [263, 1, 29890]],
        ["[INST] x [INST]y", [32000, 921, 29871, 32000, 29891]],
        ["a [INST]  b", [263, 29871, 32000, 29871, 289]],
        ["x[INST]", [921, 32000]],
        ["<s>", [1]],
        ["  <s>  <s>a", [259, 1, 259, 1, 29874]],
        ["[INST]</s><s>", [32000, 2, 1]],
      ],
    ],
    [
      "legacy raw strip",
      { normalized: false, lstrip: true, rstrip: true },
      {},
      [
        ["<s>Hello", [1, 15043]],
        ["<s> Hello </s> world", [1, 15043, 2, 3186]],
        ["a<s>b", [263, 1, 289]],
        ["[INST] x [INST]y", [32000, 921, 32000, 343]],
        ["a [INST]  b", [263, 32000, 289]],
        ["x[INST]", [921, 32000]],
        ["<s>", [1]],
        ["  <s>  <s>a", [1, 1, 263]],
        ["[INST]</s><s>", [32000, 2, 1]],
      ],
    ],
    [
      "legacy raw word",
      { normalized: false, single_word: true },
      {},
      [
        ["<s>Hello", [529, 29879, 29958, 10994]],
        ["<s> Hello </s> world", [1, 29871, 15043, 29871, 2, 29871, 3186]],
        ["a<s>b", [263, 29966, 29879, 29958, 29890]],
        ["[INST] x [INST]y", [32000, 29871, 921, 518, 25580, 29962, 29891]],
        ["a [INST]  b", [263, 29871, 32000, 259, 289]],
        ["x[INST]", [921, 29961, 25580, 29962]],
        ["<s>", [1]],
        ["  <s>  <s>a", [1678, 1, 259, 529, 29879, 29958, 29874]],
        ["[INST]</s><s>", [32000, 2, 1]],
      ],
    ],
    [
      "legacy normalized strip",
      { normalized: true, lstrip: true, rstrip: true },
      {},
      [
        ["<s>Hello", [1, 10994]],
        ["<s> Hello </s> world", [1, 15043, 2, 3186]],
        ["a<s>b", [263, 29966, 29879, 29958, 29890]],
        ["[INST] x [INST]y", [32000, 921, 32000, 29891]],
        ["a [INST]  b", [263, 32000, 29871, 289]],
        ["x[INST]", [921, 29961, 25580, 29962]],
        ["<s>", [1]],
        ["  <s>  <s>a", [259, 1, 29871, 1, 29874]],
        ["[INST]</s><s>", [32000, 829, 29879, 5299, 29879, 29958]],
      ],
    ],
  ] as [string, object, object, [string, number[]][]][])(
    "with the flags of %s are found as by Hugging Face",
    (_, flags, changes, texts) => {
      const plain = { lstrip: false, rstrip: false, single_word: false };
      const inst = { id: 32000, content: "[INST]", special: false };
      const added = [...llama.added_tokens, inst].map((token) => ({ ...token, ...plain, ...flags }));
      const file = JSON.stringify({ ...llama, ...changes, added_tokens: added });
      const tokenizer = openTokenizer(new TextEncoder().encode(file));
      for (const [text, ids] of texts) {
        expect([text, tokenizer.encode(text, { special: true })]).toEqual([text, ids]);
        const pieces = tokenizer.encodePieces(text, { special: true });
        expect(pieces.map(({ id }) => id)).toEqual(ids);
        expect(pieces.map(({ begin, end }) => text.slice(begin, end)).join("")).toBe(text);
      }
    },
  );
});

describe("special tokens", () => {
  const tokenizer = openTokenizer(smallModelBytes());
  const pieces = (text: string, special: boolean | readonly string[]) =>
    tokenizer.encode(text, { special }).map((id) => tokenizer.piece(id));

  it("are found only when asked for, all of them or those that are listed", () => {
    expect(pieces("<s>the</s>", true)).toEqual(["<s>", "▁the", "</s>"]);
    expect(pieces("<s>the</s>", ["<s>"])[0]).toBe("<s>");
    expect(pieces("<s>the</s>", ["<s>"])).not.toContain("</s>");
    for (const none of [false, []]) {
      expect(tokenizer.encode("<s>the</s>", { special: none })).toEqual(tokenizer.encode("<s>the</s>"));
    }
    expect(() => pieces("a", ["[INST]"])).toThrow('expected special tokens, found "[INST]"');
  });

  it("have a space put after them, as in llama.cpp", () => {
    const encode = (text: string) => tokenizer.encode(text);
    expect(tokenizer.encode("the<s>the <s> the", { special: true })).toEqual([
      ...encode("the"),
      1,
      ...encode("the "),
      1,
      ...encode(" the"),
    ]);
  });

  it("are found in strings and bytes alike, with their places", () => {
    const text = "é<s>\u{1f600}</s>";
    const found = tokenizer.encodePieces(text, { special: true });
    expect(found.map(({ begin, end }) => text.slice(begin, end))).toEqual([
      "",
      "é",
      "<s>",
      "",
      "\u{1f600}",
      "</s>",
    ]);
    const bytes = new TextEncoder().encode(text);
    const places = tokenizer.encodePieces(bytes, { special: true }).map(({ begin, end }) => [begin, end]);
    expect(places.at(-1)).toEqual([9, 13]);
  });

  it.skipIf(!goldFolder)("change nothing in texts that have none", () => {
    const llama2 = openTokenizer(goldModel("llama2"));
    for (const { name, text, ids } of goldEncodings("llama2")) {
      if (/<s>|<\/s>|<unk>/.test(Buffer.from(text).toString("latin1"))) continue;
      expect([name, llama2.encode(text, { special: true }).join()]).toEqual([name, ids.join()]);
    }
  });
});

// by the table of ../shared/tokenizer-study.md
describe("llama.cpp's conventions", () => {
  const spm = openTokenizer(smallModelBytes());
  const cpp = openTokenizer(smallModelBytes(), { conventions: "llama.cpp" });

  it("keep malformed bytes as their pieces, and all else as it is", () => {
    const bytes = Uint8Array.of(0x61, 0xff, 0xed, 0xa0, 0x80, 0x62);
    const pieces = (tokenizer: typeof cpp) => tokenizer.encode(bytes).map((id) => tokenizer.piece(id));
    expect(pieces(cpp)).toEqual(["▁a", "<0xFF>", "<0xED>", "<0xA0>", "<0x80>", "b"]);
    expect(pieces(spm)).toHaveLength(2 + 3 * 4);
    expect(cpp.encode("the cat \ud800\u{1f680}")).toEqual(spm.encode("the cat \ud800\u{1f680}"));
  });

  it("find user-defined tokens in every text, use unused ones, and take unk for special", () => {
    const types = new Map(Object.entries({ 日: 4, "▁cat": 4, "▁the": 5, o: 5 }));
    const pieces = smallModel.pieces.map((piece) => ({
      ...piece,
      type: types.get(piece.piece as string) ?? piece.type ?? 1,
    }));
    const tokenizer = openTokenizer(smallModelBytes({ pieces }), { conventions: "llama.cpp" });
    // by llama.cpp (node-llama-cpp 3.22.1) on the same vocabulary as a GGUF
    for (const [text, special, ids, decoded] of [
      ["the cat on日the", false, [261, 272, 274, 312, 261], "▁cat on日"],
      ["on▁cat", false, [274, 272], "on▁cat"],
      ["a<unk>b</s>", true, [262, 0, 283, 303, 2], "a b"],
      ["a<unk>b</s>", false, [262, 63, 295, 289, 305, 65, 303, 63, 50, 290, 65], "a<unk>b</s>"],
    ] as const) {
      expect([text, tokenizer.encode(text, { special })]).toEqual([text, ids]);
      expect(tokenizer.decode(ids)).toBe(decoded);
    }
  });

  it("drop the space in front from the very first piece only, and show no unknown piece", () => {
    const the = spm.id("▁the")!;
    expect([spm.decode([the]), cpp.decode([the])]).toEqual(["the", "the"]);
    expect([spm.decode([1, the]), cpp.decode([1, the])]).toEqual(["the", " the"]);
    expect([spm.decode([0, the]), cpp.decode([0, the])]).toEqual([" \u2047  the", " the"]);
  });
});
