import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytePieces, type PieceDescription, specialPieces } from "../../test/model-proto-writer.js";
import { smallModel, smallModelBytes } from "../../test/small-tokenizer.js";
import { type GgufValue, writeGguf } from "../../test/write-gguf.js";
import { openTokenizer, TokenizerError, UnsupportedTokenizerError, type VocabularyData } from "../index.js";

const pieces = smallModel.pieces as readonly (PieceDescription & { piece: string })[];
const tokens = pieces.map(({ piece }) => piece);
const scores = pieces.map(({ score = 0 }) => score);
const types = pieces.map(({ type = 1 }) => type);

const metadata: Record<string, GgufValue> = {
  "general.architecture": { type: "string", value: "llama" },
  "llama.rope.freq_base": { type: "f32", value: 10000 },
  "some.nested": { type: "u8[][]", value: [[1, 2], [3]] },
  "tokenizer.ggml.model": { type: "string", value: "llama" },
  "tokenizer.ggml.tokens": { type: "string[]", value: tokens },
  "tokenizer.ggml.scores": { type: "f32[]", value: scores },
  "tokenizer.ggml.token_type": { type: "i32[]", value: types },
  "general.name": { type: "string", value: "after the vocabulary" },
};

function gguf(changes: Record<string, GgufValue | undefined> = {}): Uint8Array {
  const prefixed = Object.entries(changes).map(([key, value]) => [`tokenizer.ggml.${key}`, value] as const);
  const entries = Object.entries({ ...metadata, ...Object.fromEntries(prefixed) });
  return writeGguf({
    metadata: entries.filter((entry): entry is [string, GgufValue] => entry[1] !== undefined),
    tensors: [{ name: "output.weight", shape: [1, 64], type: "F32", bytes: new Uint8Array(256) }],
  });
}

const texts = ["the cat sat on the mat", "", "  a ", "日本語 \u{1f600}\n", "once upon a time"];
const fromModel = openTokenizer(smallModelBytes());

describe("a GGUF vocabulary", () => {
  it("gives the ids and decodings of the SentencePiece model that it was made from", () => {
    const tokenizer = openTokenizer(gguf());
    expect([tokenizer.unk, tokenizer.bos, tokenizer.eos]).toEqual([0, 1, 2]);
    for (const text of texts) {
      const ids = fromModel.encode(text);
      expect(tokenizer.encode(text)).toEqual(ids);
      expect(tokenizer.decode(ids)).toBe(fromModel.decode(ids));
    }
  });

  it("gives the same as plain data", () => {
    const tokenizer = openTokenizer({ model: "llama", tokens, scores, types: Int32Array.from(types) });
    expect([tokenizer.unk, tokenizer.bos, tokenizer.eos]).toEqual([0, 1, 2]);
    for (const text of texts) expect(tokenizer.encode(text)).toEqual(fromModel.encode(text));
  });

  it("is read from the beginning of a file that has its metadata", () => {
    const whole = gguf();
    expect(openTokenizer(whole.subarray(0, whole.length - 300)).vocabSize).toBe(tokens.length);
  });

  it("may be of version 2", () => {
    const bytes = gguf();
    bytes[4] = 2;
    expect(openTokenizer(bytes).vocabSize).toBe(tokens.length);
  });

  it("takes its special ids from the file", () => {
    const tokenizer = openTokenizer(
      gguf({ bos_token_id: { type: "u32", value: 7 }, eos_token_id: { type: "u32", value: 8 } }),
    );
    expect([tokenizer.bos, tokenizer.eos]).toEqual([7, 8]);
  });

  it("puts no space in front where the file says so", () => {
    const tokenizer = openTokenizer(gguf({ add_space_prefix: { type: "bool", value: false } }));
    expect(tokenizer.encode("the").map((id) => tokenizer.piece(id))).toEqual(["t", "he"]);
    expect(tokenizer.decode(tokenizer.encode(" the"))).toBe(" the");
  });

  it("without types has the bytes, unk, bos and eos that its tokens show", () => {
    const tokenizer = openTokenizer(gguf({ token_type: undefined }));
    for (const text of texts) expect(tokenizer.encode(text)).toEqual(fromModel.encode(text));
    expect(tokenizer.decode([1, ...fromModel.encode("the"), 2])).toBe("the");
  });

  it("freezes user-defined tokens", () => {
    const tokenizer = openTokenizer({
      model: "llama",
      tokens: [...tokens, "<|end|>"],
      scores: [...scores, 0],
      types: [...types, 4],
    });
    expect(tokenizer.encode("a<|end|>b").includes(tokens.length)).toBe(true);
    expect(tokenizer.decode(tokenizer.encode("a<|end|>b"))).toBe("a<|end|>b");
  });

  it.each<[string, Record<string, GgufValue | undefined>, string]>([
    ["model is missing", { model: undefined }, "tokenizer.ggml.model: expected a vocabulary"],
    [
      "model is a number",
      { model: { type: "u32", value: 1 } },
      "tokenizer.ggml.model: expected a string (type 8), found type 4",
    ],
    [
      "tokens are missing",
      { tokens: undefined },
      "tokenizer.ggml.tokens: expected an array of strings, found none",
    ],
    ["tokens are numbers", { tokens: { type: "i32[]", value: [1] } }, "found an array of type 5"],
    ["tokens are none", { tokens: { type: "string[]", value: [] } }, "expected tokens, found none"],
    [
      "a token is there twice",
      { tokens: { type: "string[]", value: tokens.with(300, "the").with(301, "the") } },
      "already defined as piece 300",
    ],
    [
      "a token is empty",
      { tokens: { type: "string[]", value: tokens.with(300, "") } },
      "piece 300: expected some text",
    ],
    [
      "a byte is spelt wrongly",
      { tokens: { type: "string[]", value: tokens.with(3, "<0x-1>") } },
      'piece 3: expected a byte piece from <0x00> to <0xFF>, found "<0x-1>"',
    ],
    ["scores are missing", { scores: undefined }, "the vocabulary has no scores"],
    [
      "scores are short",
      { scores: { type: "f32[]", value: [0, 0] } },
      "tokenizer.ggml.scores: expected 316 values, one for each token, found 2",
    ],
    ["scores are long", { scores: { type: "f32[]", value: [...scores, 0] } }, "found 317"],
    [
      "scores are strings",
      { scores: { type: "string[]", value: tokens } },
      "tokenizer.ggml.scores: expected an array of f32 (type 6)",
    ],
    ["a score is NaN", { scores: { type: "f32[]", value: scores.with(9, Number.NaN) } }, "score of piece 9"],
    [
      "types are short",
      { token_type: { type: "i32[]", value: [2] } },
      "tokenizer.ggml.token_type: expected 316 values",
    ],
    [
      "types are floats",
      { token_type: { type: "f32[]", value: types } },
      "tokenizer.ggml.token_type: expected an array of i32",
    ],
    [
      "a type does not exist",
      { token_type: { type: "i32[]", value: types.with(5, 99) } },
      "token_type of token 5: expected 1 to 6, found 99",
    ],
    [
      "there are no bytes",
      { token_type: { type: "i32[]", value: types.map((type) => (type === 6 ? 1 : type)) } },
      "expected 256 byte pieces, found 0",
    ],
    [
      "there is a second unk",
      { token_type: { type: "i32[]", value: types.with(300, 2) } },
      "piece 300: unk is already defined",
    ],
    [
      "bos is out of range",
      { bos_token_id: { type: "u32", value: 1e9 } },
      "tokenizer.ggml.bos_token_id: expected an id from 0 to 315, found 1000000000",
    ],
    [
      "bos is signed",
      { bos_token_id: { type: "i32", value: -1 } },
      "tokenizer.ggml.bos_token_id: expected a u32 (type 4), found type 5",
    ],
    [
      "unk is out of range",
      { unknown_token_id: { type: "u32", value: 316 } },
      "tokenizer.ggml.unknown_token_id",
    ],
    ["eot is out of range", { eot_token_id: { type: "u32", value: 316 } }, "tokenizer.ggml.eot_token_id"],
    [
      "add_bos_token is a number",
      { add_bos_token: { type: "u32", value: 1 } },
      "tokenizer.ggml.add_bos_token: expected a bool (type 7)",
    ],
  ])("is refused when its %s", (_, changes, message) => {
    expect(() => openTokenizer(gguf(changes), { name: "v.gguf" })).toThrow(TokenizerError);
    expect(() => openTokenizer(gguf(changes), { name: "v.gguf" })).toThrow(message);
    expect(() => openTokenizer(gguf(changes), { name: "v.gguf" })).not.toThrow(UnsupportedTokenizerError);
  });

  it.each<[string, Record<string, GgufValue>]>([
    ["gpt2", { model: { type: "string", value: "gpt2" } }],
    ["a character map", { precompiled_charsmap: { type: "u8[]", value: [1] } }],
    ["extra whitespace removed", { remove_extra_whitespaces: { type: "bool", value: true } }],
  ])("is unsupported with %s", (_, changes) => {
    expect(() => openTokenizer(gguf(changes))).toThrow(UnsupportedTokenizerError);
  });

  it("is refused when a key is there twice", () => {
    const twice = writeGguf({
      metadata: [...Object.entries(metadata), ["tokenizer.ggml.model", { type: "string", value: "llama" }]],
      tensors: [],
    });
    expect(() => openTokenizer(twice)).toThrow("tokenizer.ggml.model: expected a key that is there once");
  });

  it("as plain data is refused for the same reasons", () => {
    const data: VocabularyData = { model: "llama", tokens, scores, types };
    expect(() => openTokenizer({ ...data, scores: undefined })).toThrow("the vocabulary has no scores");
    expect(() => openTokenizer({ ...data, tokens: [] })).toThrow("expected tokens, found none");
    expect(() => openTokenizer({ ...data, tokens: tokens.with(300, tokens[301]!) })).toThrow(
      "already defined",
    );
    expect(() => openTokenizer({ ...data, bos: 1.5 })).toThrow("expected an id from 0 to 315, found 1.5");
    expect(() => openTokenizer({ ...data, model: "bert" })).toThrow(UnsupportedTokenizerError);
    expect(() => openTokenizer({ model: "llama", tokens: ["<unk>", "a"], scores: [0, 0] })).toThrow(
      "expected 256 byte pieces, found 0",
    );
  });
});

describe("a hostile GGUF header", () => {
  const u64 = (value: bigint) => [...new Uint8Array(BigUint64Array.of(value).buffer)];
  const u32 = (value: number) => [...new Uint8Array(Uint32Array.of(value).buffer)];
  const string = (text: string) => [...u64(BigInt(text.length)), ...new TextEncoder().encode(text)];
  const start = (pairs: bigint, version = 3) => [
    ...u32(0x46554747),
    ...u32(version),
    ...u64(0n),
    ...u64(pairs),
  ];
  const open =
    (...bytes: number[]) =>
    () =>
      openTokenizer(Uint8Array.from(bytes));

  it.each([2n ** 63n, 2n ** 40n, 2n ** 64n - 1n])("with %d pairs ends at the end of the bytes", (pairs) => {
    expect(open(...start(pairs))).toThrow(TokenizerError);
    expect(open(...start(pairs), ...string("k"), ...u32(4), ...u32(1))).toThrow(TokenizerError);
  });

  it.each([2n ** 62n, 2n ** 63n, 2n ** 64n - 1n, 10n ** 9n])(
    "with strings and arrays of %d elements is refused",
    (length) => {
      expect(open(...start(1n), ...u64(length))).toThrow(TokenizerError);
      expect(open(...start(1n), ...string("k"), ...u32(8), ...u64(length))).toThrow(TokenizerError);
      for (const type of [0, 5, 6, 8, 9, 12]) {
        expect(open(...start(1n), ...string("k"), ...u32(9), ...u32(type), ...u64(length))).toThrow(
          TokenizerError,
        );
      }
    },
  );

  it("with arrays nested 20,000 deep is refused before the stack is full", () => {
    const nested = Array.from({ length: 20_000 }, () => [...u32(9), ...u64(1n)]).flat();
    const bytes = Uint8Array.from([...start(1n), ...string("k"), ...u32(9), ...nested]);
    expect(() => openTokenizer(bytes)).toThrow("arrays nested at most 4 deep");
  });

  it("of another version or byte order is unsupported", () => {
    for (const version of [1, 4, 0x03000000])
      expect(open(...start(0n, version))).toThrow(UnsupportedTokenizerError);
  });

  it("with a key __proto__ is a header like any other", () => {
    expect(open(...start(1n), ...string("tokenizer.ggml.__proto__"), ...u32(4), ...u32(1))).toThrow(
      "tokenizer.ggml.model",
    );
  });

  it("cut or changed anywhere is refused or opens, and nothing else", () => {
    const whole = gguf();
    const attempt = (bytes: Uint8Array) => {
      try {
        openTokenizer(bytes).encode("the cat");
      } catch (error) {
        expect(error).toBeInstanceOf(TokenizerError);
      }
    };
    for (let length = 0; length < whole.length; length += 13) attempt(whole.subarray(0, length));
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, byte) => {
        const bytes = whole.slice();
        bytes[at] = byte;
        attempt(bytes);
      }),
      { numRuns: 500 },
    );
  });
});

it("the small vocabulary has the pieces that these tests count on", () => {
  expect(tokens.length).toBe(316);
  expect(specialPieces.length + bytePieces.length).toBe(259);
});
