import { describe, expect, it } from "vitest";
import { bytePieces, specialPieces, writeModelProto } from "../test/model-proto-writer.js";
import { smallModelBytes } from "../test/small-tokenizer.js";
import { openSentencePiece, openTokenizer, TokenizerError, UnsupportedTokenizerError } from "./index.js";

const text = (content: string) => new TextEncoder().encode(content);

describe("openTokenizer()", () => {
  it("gives a tokenizer with its numbers, born whole", () => {
    const tokenizer = openTokenizer(smallModelBytes());
    expect(tokenizer.vocabSize).toBe(316);
    expect([tokenizer.unk, tokenizer.bos, tokenizer.eos]).toEqual([0, 1, 2]);
    expect(tokenizer.piece(1)).toBe("<s>");
    expect(tokenizer.piece(13)).toBe("<0x0A>");
    expect(tokenizer.id("<0x0A>")).toBe(13);
    expect(tokenizer.piece(tokenizer.id("▁the")!)).toBe("▁the");
    expect(tokenizer.id("no such piece")).toBeUndefined();
    expect(tokenizer.id("")).toBeUndefined();
  });

  it("adds neither bos nor eos unless asked", () => {
    const tokenizer = openTokenizer(smallModelBytes());
    const ids = tokenizer.encode("the cat");
    expect(ids.map((id) => tokenizer.piece(id))).toEqual(["▁the", "▁cat"]);
    expect(tokenizer.encode("the cat", { bos: true })).toEqual([1, ...ids]);
    expect(tokenizer.encode("the cat", { bos: true, eos: true })).toEqual([1, ...ids, 2]);
    expect(tokenizer.encode("", { bos: true, eos: true })).toEqual([1, 2]);
    expect(tokenizer.encode("")).toEqual([]);
  });

  it("never turns text into control pieces", () => {
    const tokenizer = openTokenizer(smallModelBytes());
    for (const text of ["<s>", "</s>", "<unk>", "<0x41>", "\n<s>\n"]) {
      const ids = tokenizer.encode(text);
      expect(tokenizer.decode(ids)).toBe(text);
      for (const id of ids) expect(id).not.toBeLessThan(3);
    }
  });

  it("has no bos or eos where the model has no such control pieces, and says so when asked to add them", () => {
    const tokenizer = openTokenizer(
      writeModelProto({
        pieces: [{ piece: "<unk>", type: 2 }, { piece: "<s>" }, { piece: "a" }],
        trainer: { modelType: 2 },
      }),
      { name: "bare.model" },
    );
    expect([tokenizer.bos, tokenizer.eos]).toEqual([undefined, undefined]);
    expect(() => tokenizer.encode("a", { bos: true })).toThrow(TokenizerError);
    expect(() => tokenizer.encode("a", { bos: true })).toThrow(
      "bare.model: bos was asked for, the vocabulary has none",
    );
  });

  it("finds bos and eos by the names that the model gives them", () => {
    const pieces = [
      { piece: "<unk>", type: 2 },
      { piece: "[B]", type: 3 },
      { piece: "[E]", type: 3 },
      { piece: "a" },
    ];
    const tokenizer = openTokenizer(
      writeModelProto({ pieces, trainer: { modelType: 2, bosPiece: "[B]", eosPiece: "[E]" } }),
    );
    expect([tokenizer.bos, tokenizer.eos]).toEqual([1, 2]);
  });

  it("leaves the caller's bytes to the caller", () => {
    const bytes = smallModelBytes();
    const copy = bytes.slice();
    const tokenizer = openTokenizer(bytes);
    const ids = tokenizer.encode("the cat sat");
    expect(bytes).toEqual(copy);
    bytes.fill(0);
    expect(tokenizer.piece(1)).toBe("<s>");
    expect(tokenizer.encode("the cat sat on the mat").slice(0, 3)).toEqual(ids);
  });

  it("reads a Buffer and a view into other bytes", () => {
    const bytes = smallModelBytes();
    const around = new Uint8Array(bytes.length + 20);
    around.set(bytes, 7);
    const expected = openTokenizer(bytes).encode("once upon a time");
    expect(openTokenizer(Buffer.from(bytes)).encode("once upon a time")).toEqual(expected);
    expect(openTokenizer(around.subarray(7, 7 + bytes.length)).encode("once upon a time")).toEqual(expected);
  });

  it.each([
    ["an empty file", text("")],
    ["an HTML page", text("<!DOCTYPE html><title>404</title>")],
    [
      "a Git LFS pointer (the real file was never downloaded)",
      text("version https://git-lfs.github.com/spec/v1\n"),
    ],
    ["a zip archive", Uint8Array.of(0x50, 0x4b, 3, 4, 0, 0)],
    ["a Python pickle", Uint8Array.of(0x80, 2, 0x7d)],
    ["a llama2.c checkpoint", text("24ka....")],
  ])("says that it found %s", (kind, bytes) => {
    expect(() => openTokenizer(bytes, { name: "tokenizer.model" })).toThrow(TokenizerError);
    expect(() => openTokenizer(bytes, { name: "tokenizer.model" })).toThrow(
      `Cannot open tokenizer.model: expected a vocabulary, found ${kind}`,
    );
  });

  it("says that it does not handle JSON", () => {
    expect(() => openTokenizer(text('{"model": {"type": "BPE"}}'))).toThrow(UnsupportedTokenizerError);
  });

  it("refuses what is neither bytes nor a vocabulary with a TypeError", () => {
    expect(() => openTokenizer("tokenizer.model" as never)).toThrow(TypeError);
    expect(() => openTokenizer(undefined as never)).toThrow(TypeError);
    expect(() => openTokenizer({ model: "llama" } as never)).toThrow(TypeError);
  });

  it("warns of a model without its specs, as one cut short is", () => {
    const warnings: string[] = [];
    const pieces = [...specialPieces, { piece: "a" }];
    openTokenizer(writeModelProto({ pieces, trainer: { modelType: 2 } }), {
      name: "short.model",
      onWarning: (message) => warnings.push(message),
    });
    expect(warnings).toEqual([
      "short.model has no normalizer_spec, which SentencePiece always writes: the file may have been cut short",
    ]);
    openTokenizer(smallModelBytes(), { onWarning: (message) => warnings.push(message) });
    expect(warnings).toHaveLength(1);
  });
});

describe("openSentencePiece()", () => {
  it("gives openTokenizer's tokenizer of a SentencePiece model, from any view of its bytes", () => {
    const bytes = smallModelBytes();
    const expected = openTokenizer(bytes).encode("once upon a time");
    expect(openSentencePiece(bytes).encode("once upon a time")).toEqual(expected);
    expect(openSentencePiece(Buffer.from(bytes)).encode("once upon a time")).toEqual(expected);
  });

  it.each([
    ["a GGUF", text("GGUF\x03\0\0\0")],
    ["JSON", text('{"model": {"type": "BPE"}}')],
    ["a llama2.c tokenizer.bin", Uint8Array.of(5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 97)],
    ["an HTML page", text("<!DOCTYPE html><title>404</title>")],
  ])("says that it found %s", (kind, bytes) => {
    expect(() => openSentencePiece(bytes, { name: "tokenizer.model" })).toThrow(TokenizerError);
    expect(() => openSentencePiece(bytes, { name: "tokenizer.model" })).toThrow(
      `Cannot open tokenizer.model: expected a SentencePiece model, found ${kind}`,
    );
  });

  it("refuses what is no bytes with a TypeError, and other bytes with a TokenizerError", () => {
    expect(() => openSentencePiece("tokenizer.model" as never)).toThrow(TypeError);
    expect(() => openSentencePiece(openTokenizer(smallModelBytes()).vocabulary() as never)).toThrow(
      TypeError,
    );
    expect(() => openSentencePiece(Uint8Array.of(255, 255, 255))).toThrow(TokenizerError);
  });
});

describe("a contradictory model", () => {
  const open = (pieces: Parameters<typeof writeModelProto>[0]["pieces"], byteFallback = false) =>
    openTokenizer(writeModelProto({ pieces, trainer: { modelType: 2, byteFallback }, normalizer: {} }), {
      name: "m",
    });

  it.each([
    ["an empty piece", [...specialPieces, { piece: "" }], "piece 3: expected some text"],
    [
      "the same piece twice",
      [...specialPieces, { piece: "ab" }, { piece: "ab" }],
      '"ab", which is already defined as piece 3',
    ],
    [
      "a piece that is normal and control",
      [...specialPieces, { piece: "<s>" }],
      '"<s>", which is already defined',
    ],
    ["no unk", [{ piece: "a" }], "unk is not defined"],
    ["two unks", [...specialPieces, { piece: "x", type: 2 }], "piece 3: unk is already defined, as piece 0"],
    ["a score that is NaN", [...specialPieces, { piece: "a", score: Number.NaN }], "score of piece 3"],
    [
      "a byte piece without byte fallback",
      [...specialPieces, { piece: "<0x00>", type: 6 }],
      "expected no byte pieces",
    ],
    [
      "a piece of 8,000 bytes",
      [...specialPieces, { piece: "a".repeat(8000) }],
      "expected at most 7999 bytes, found 8000",
    ],
  ])("with %s is refused", (_, pieces, message) => {
    expect(() => open(pieces)).toThrow(TokenizerError);
    expect(() => open(pieces)).toThrow(message);
    expect(() => open(pieces)).not.toThrow(UnsupportedTokenizerError);
  });

  it("with 255 byte pieces, or one spelt in lower case, is refused", () => {
    expect(() => open([...specialPieces, ...bytePieces.slice(1)], true)).toThrow(
      "expected 256 byte pieces, found 255",
    );
    const lower = bytePieces.map((piece, i) => (i === 10 ? { piece: "<0x0a>", type: 6 } : piece));
    expect(() => open([...specialPieces, ...lower], true)).toThrow(
      'piece 13: expected a byte piece from <0x00> to <0xFF>, found "<0x0a>"',
    );
  });

  it("is not made by infinite scores, long pieces up to the limit, or a NUL in a piece", () => {
    const tokenizer = open([
      ...specialPieces,
      { piece: "a", score: -Infinity },
      { piece: "aa", score: Infinity },
      { piece: "a".repeat(7999) },
      { piece: "b\0" },
    ]);
    expect(tokenizer.encode("aaa", {})).toEqual([0, 4, 3]);
    expect(tokenizer.id("b\0")).toBe(6);
    expect(tokenizer.piece(6)).toBe("b\0");
  });

  it("with pieces made to collide in the hash table is refused, not slow", () => {
    // Thue-Morse words and their complements collide in every polynomial hash modulo 2^32; joined in all ways, they
    // give any number of pieces with one hash.
    let word = "a";
    let complement = "b";
    for (let i = 0; i < 8; i++) [word, complement] = [word + complement, complement + word];
    const pieces = Array.from({ length: 2048 }, (_, n) => ({
      piece: Array.from({ length: 11 }, (_, bit) => ((n >> bit) & 1 ? word : complement)).join(""),
    }));
    expect(() => open([...specialPieces, ...pieces])).toThrow("expected at most 1024 pieces that collide");
  });
});

describe("a model's self-test", () => {
  const open = (expected: string) =>
    openTokenizer(smallModelBytes({ selfTests: [{ input: "the cat?", expected }] }));

  it("lets a model pass that gives the pieces it says", () => {
    expect(open("▁the ▁cat <0x3F>").vocabSize).toBe(316);
  });

  it("refuses one that does not", () => {
    expect(() => open("▁the ▁dog")).toThrow(
      'its self-test on "the cat?": expected "▁the ▁dog", found "▁the ▁cat <0x3F>"',
    );
  });

  it("shows unknown characters as they are, where there are no bytes", () => {
    const pieces = [...specialPieces, { piece: "▁" }, { piece: "a" }];
    const bytes = writeModelProto({
      pieces,
      trainer: { modelType: 2 },
      normalizer: {},
      selfTests: [{ input: "axya", expected: "▁ a xy a" }],
    });
    expect(openTokenizer(bytes).vocabSize).toBe(5);
  });
});
