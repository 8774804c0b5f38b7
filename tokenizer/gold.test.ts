import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { goldDecodings, goldEncodings, goldFolder, goldModel } from "../test/gold.js";
import { sharedData } from "../test/shared-data.js";
import { openTokenizer, type Tokenizer } from "./index.js";

const llama2 = sharedData("tokenizers/llama2");
const read = (path: string) => readFileSync(sharedData(path)!);

/** BPE, unigram, char and word, with and without character maps. */
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

describe.skipIf(!goldFolder).each(models)("against SentencePiece 0.1.97, with %s, the tokenizer", (model) => {
  const tokenizer = goldFolder ? openTokenizer(goldModel(model), { name: model }) : undefined!;

  it("gives the same ids for 3,617 nasty texts", () => {
    const texts = goldEncodings(model);
    expect(texts).toHaveLength(3617);
    const wrong = texts.filter(({ text, ids }) => tokenizer.encode(text).join() !== ids.join());
    expect(wrong.map(({ name }) => name)).toEqual([]);
  });

  it("gives the same ids for them as strings, where they are valid UTF-8", () => {
    const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    let compared = 0;
    for (const { text, ids } of goldEncodings(model)) {
      let string: string;
      try {
        string = strict.decode(text);
      } catch {
        continue;
      }
      expect(tokenizer.encode(string)).toEqual(ids);
      compared++;
    }
    expect(compared).toBeGreaterThan(2000);
  });

  it("decodes their ids to the same text", () => {
    const wrong = goldEncodings(model).filter(({ ids, decoded }) => tokenizer.decode(ids) !== decoded);
    expect(wrong.map(({ name }) => name)).toEqual([]);
  });

  it("decodes 600 random lists of ids to the same text, or to an error", () => {
    const lists = goldDecodings(model);
    expect(lists).toHaveLength(600);
    for (const { ids, text } of lists) {
      if (text === undefined) expect(() => tokenizer.decode(ids)).toThrow(RangeError);
      else expect(tokenizer.decode(ids)).toBe(text);
    }
  });
});

describe.skipIf(!llama2 || !goldFolder)("the Llama 2 vocabulary", () => {
  const forms = {
    "tokenizer.model": "tokenizers/llama2/tokenizer.model",
    "tokenizer.bin": "tokenizers/llama2/tokenizer.bin",
    "tokenizer-legacy-v0.bin": "tokenizers/llama2/tokenizer-legacy-v0.bin",
    "ggml-vocab-llama-spm.gguf": "tokenizers/llama2/ggml-vocab-llama-spm.gguf",
    "llama-2-tiny-random.gguf": "models/llama-2-tiny-random.gguf",
  };
  const open = (path: string): Tokenizer => openTokenizer(read(path), { name: path });

  it.each(Object.entries(forms))(
    "is the same read from %s: pieces, ids of nasty texts, decodings",
    (_, path) => {
      const tokenizer = open(path);
      const model = open(forms["tokenizer.model"]);
      expect(tokenizer.vocabSize).toBe(32000);
      expect([tokenizer.unk, tokenizer.bos, tokenizer.eos]).toEqual([0, 1, 2]);
      for (let id = 0; id < 32000; id++) {
        if (tokenizer.piece(id) !== model.piece(id))
          expect([id, tokenizer.piece(id)]).toEqual([id, model.piece(id)]);
      }
      for (const { name, text, ids, decoded } of goldEncodings("llama2")) {
        if (tokenizer.encode(text).join() !== ids.join())
          expect([name, tokenizer.encode(text)]).toEqual([name, ids]);
        if (tokenizer.decode(ids) !== decoded) expect([name, tokenizer.decode(ids)]).toEqual([name, decoded]);
      }
    },
  );

  it.each(Object.entries(forms))("read from %s gives the ids of llama.cpp's vocabulary test", (_, path) => {
    const tokenizer = open(path);
    const file = "tokenizers/llama2/ggml-vocab-llama-spm.gguf";
    const texts = read(`${file}.inp`).toString().split("\n__ggml_vocab_test__\n");
    const expected = read(`${file}.out`).toString().split("\n");
    expect(texts.length).toBe(47);
    texts.forEach((text, i) => {
      expect(tokenizer.encode(text).join(" ")).toBe(expected[i]!.trim());
    });
  });

  it("gives the ids and pieces of Hugging Face's legacy tokenizer, which begins with bos", () => {
    // The text has no special tokens in it and does not begin with a space, where Hugging Face's ways part from
    // SentencePiece's; all of it can be compared.
    const { text, bpe_tokens, token_ids } = JSON.parse(
      read("tokenizers/llama2/hf_llama_encoded.json").toString(),
    ) as { text: string; bpe_tokens: string[]; token_ids: number[] };
    const tokenizer = open(forms["tokenizer.model"]);
    const ids = tokenizer.encode(text, { bos: true });
    expect(ids).toEqual(token_ids);
    expect(ids.slice(1).map((id) => tokenizer.piece(id))).toEqual(bpe_tokens);
    expect(tokenizer.decode(ids)).toBe(text);
  });

  it("encodes a word or a run of 1 MB in under two seconds, to the ids of spm_encode 0.1.97", () => {
    let state = 1;
    const letter = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return String.fromCharCode(97 + Math.floor((state / 2 ** 32) * 26));
    };
    const texts: [name: string, text: string, ids: number, sha256: string][] = [
      [
        "a random word",
        Array.from({ length: 1e6 }, letter).join(""),
        596_275,
        "0de448667ec028c6e14cec88522b0f40cbb3bddbff06e56056a2d98cfd0e48d5",
      ],
      ["spaces", " ".repeat(1e6), 62_501, "68f0de111ff47e363aec0633dd617230cd92f03450fde173abe07d5a8cd3c6ae"],
      [
        "emoji",
        "\u{1f600}".repeat(250_000),
        1_000_001,
        "70915d865080bfaa99e5b4e239cdb6042e20de387f238f1a74428db343baece3",
      ],
      [
        "equals signs",
        "=".repeat(1e6),
        62_503,
        "23abfe4f6e3b0c6ae0c86cf4d4818cc0092303fafcbc00f27549abb54fb5a0db",
      ],
    ];
    const tokenizer = open(forms["tokenizer.model"]);
    for (const [name, text, count, sha256] of texts) {
      const begin = process.cpuUsage();
      const ids = tokenizer.encode(text);
      const { user } = process.cpuUsage(begin);
      expect([name, ids.length]).toEqual([name, count]);
      expect(createHash("sha256").update(ids.join(" ")).digest("hex")).toBe(sha256);
      // 0.5 s where this was written; the processor's time and not the clock's, since other tests run beside this one
      expect(user / 1e6).toBeLessThan(2);
    }
  });

  it("keeps NULs and replaces lone surrogates, 1 MB of them", () => {
    const tokenizer = open(forms["tokenizer.model"]);
    const nul = tokenizer.id("<0x00>")!;
    const space = tokenizer.id("▁")!;
    const nuls = tokenizer.encode("\0".repeat(1e6));
    expect([nuls.length, nuls[0], nuls.lastIndexOf(space), nuls.indexOf(nul)]).toEqual([
      1e6 + 1,
      space,
      0,
      1,
    ]);
    expect(new Set(nuls).size).toBe(2);
    expect(tokenizer.encode("\ud800".repeat(1e6)).join()).toBe(tokenizer.encode("\ufffd".repeat(1e6)).join());
  });
});
