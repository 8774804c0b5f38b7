import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { specialPieces, writeModelProto } from "../../test/model-proto-writer.js";
import { smallModelBytes } from "../../test/small-tokenizer.js";
import { openTokenizer, TokenizerError } from "../index.js";

const base = writeModelProto({
  pieces: [...specialPieces, { piece: "▁" }, { piece: "a", score: -1 }, { piece: "▁a", score: -2 }],
  trainer: { modelType: 2 },
  normalizer: { removeExtraWhitespaces: false },
});

/** The model with more bytes behind it, which protobuf reads as more fields of the same message. */
function withBytes(...more: (number | Uint8Array)[]): Uint8Array {
  return Uint8Array.from([
    ...base,
    ...more.flatMap((part) => (typeof part === "number" ? [part] : [...part])),
  ]);
}

/** A message field of fewer than 128 bytes. */
function message(field: number, ...bytes: number[]): Uint8Array {
  return Uint8Array.of((field << 3) | 2, bytes.length, ...bytes);
}

describe("a ModelProto", () => {
  it("may have unknown fields of every wire type, groups too", () => {
    const bytes = withBytes(
      ...[0xc0, 0x3e, 0x96, 0x01], // field 1000, varint
      ...[0xc1, 0x3e, 1, 2, 3, 4, 5, 6, 7, 8], // fixed64
      ...[0xc2, 0x3e, 2, 0xff, 0xff], // bytes
      ...[0xc5, 0x3e, 1, 2, 3, 4], // fixed32
      ...[0xc3, 0x3e, 0x08, 0x01, 0x13, 0x0a, 0x00, 0x14, 0xc4, 0x3e], // a group with a group in it
    );
    expect(openTokenizer(bytes).encode("a a")).toEqual([5, 5]);
  });

  it("takes the last of scalars and merges messages that come twice", () => {
    // trainer_spec again: model_type 1 (unigram), then 2 (BPE); normalizer_spec again: add_dummy_prefix false
    const bytes = withBytes(message(2, 0x18, 1, 0x18, 2), message(3, 0x18, 0));
    // remove_extra_whitespaces is false still: the space at the end is kept
    expect(openTokenizer(bytes).encode("a ")).toEqual([4, 3]);
  });

  it("ignores values of enums that it does not know", () => {
    // model_type 9 leaves BPE; a piece "b" of type 7 is normal
    const bytes = withBytes(message(2, 0x18, 9), message(1, 0x0a, 1, 0x62, 0x18, 7));
    const tokenizer = openTokenizer(bytes);
    expect(tokenizer.encode("ab")).toEqual([5, 6]);
  });

  it("ignores a known field of another wire type", () => {
    expect(openTokenizer(withBytes(...[0x08, 5], ...[0x15, 0, 0, 0, 0])).vocabSize).toBe(6);
  });

  it("takes a bool from any bit of a varint", () => {
    // add_dummy_prefix = 2^35
    const bytes = withBytes(message(3, 0x18, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01));
    expect(openTokenizer(bytes).encode("a")).toEqual([5]);
  });

  it("reads pieces written in any way as it reads those written in the usual way", () => {
    const usual = message(1, 0x0a, 1, 0x62, 0x15, 0, 0, 0x80, 0xbf);
    const scoreFirst = message(1, 0x15, 0, 0, 0x80, 0xbf, 0x0a, 1, 0x62);
    const twice = message(1, 0x0a, 1, 0x7a, 0x0a, 1, 0x62, 0x15, 0, 0, 0x80, 0xbf);
    const longVarint = Uint8Array.of(0x0a, 0x89, 0x00, 0x0a, 0x81, 0x00, 0x62, 0x15, 0, 0, 0x80, 0xbf);
    for (const piece of [usual, scoreFirst, twice, longVarint]) {
      const tokenizer = openTokenizer(withBytes(piece));
      expect(tokenizer.piece(6)).toBe("b");
      expect(tokenizer.encode("b")).toEqual([3, 6]);
    }
  });

  it.each([
    ["a varint of 11 bytes", [0xc0, 0x3e, ...Array(10).fill(0x80), 0]],
    ["a length of 6 bytes", [0x0a, 0x80, 0x80, 0x80, 0x80, 0x80, 0]],
    ["a length past the end", [0x0a, 0x05, 0x0a]],
    ["a length of 2^31 - 1", [0x0a, 0xff, 0xff, 0xff, 0xff, 0x07, 0x0a]],
    ["field 0", [0x00, 0x01]],
    ["wire type 7", [0x0f]],
    ["a group that does not end", [0x0b, 0x08, 0x01]],
    ["the end of a group that was not begun", [0x0c]],
    ["the end of another group", [0x0b, 0x14]],
    ["groups nested 20,000 deep", Array(20_000).fill(0x0b)],
  ])("with %s is refused", (_, more) => {
    const bytes = Uint8Array.from([...base, ...more]);
    expect(() => openTokenizer(bytes, { name: "t.model" })).toThrow(TokenizerError);
    expect(() => openTokenizer(bytes, { name: "t.model" })).toThrow("Cannot open t.model: ");
  });

  it("may nest groups 100 deep", () => {
    expect(openTokenizer(withBytes(...Array(100).fill(0x0b), ...Array(100).fill(0x0c))).vocabSize).toBe(6);
    expect(() => openTokenizer(withBytes(...Array(101).fill(0x0b), ...Array(101).fill(0x0c)))).toThrow(
      "groups nested at most 100 deep",
    );
  });

  it("keeps a piece that is not UTF-8 apart from all text", () => {
    // pieces FF and FE, which both show as U+FFFD, and U+FFFD itself
    const bytes = withBytes(
      message(1, 0x0a, 1, 0xff),
      message(1, 0x0a, 1, 0xfe),
      message(1, 0x0a, 3, 0xef, 0xbf, 0xbd),
    );
    const tokenizer = openTokenizer(bytes);
    expect([6, 7, 8].map((id) => tokenizer.piece(id))).toEqual(["\ufffd", "\ufffd", "\ufffd"]);
    expect(tokenizer.encode(Uint8Array.of(0xff))).toEqual([3, 8]);
    expect(tokenizer.id("\ufffd")).toBe(8);
  });
});

describe("a damaged ModelProto", () => {
  const whole = smallModelBytes({ selfTests: [{ input: "the cat", expected: "▁the ▁cat" }] });
  const attempt = (bytes: Uint8Array) => {
    try {
      openTokenizer(bytes).encode("the cat \u{1f600}");
    } catch (error) {
      expect(error).toBeInstanceOf(TokenizerError);
    }
  };

  it("cut at any byte is refused or opens, and nothing else", () => {
    for (
      let length = 0;
      length < whole.length;
      length += length < 200 || length > whole.length - 200 ? 1 : 7
    ) {
      attempt(whole.subarray(0, length));
    }
  });

  it("with any bytes changed is refused or opens, and nothing else", () => {
    const changes = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(changes, (changes) => {
        const bytes = whole.slice();
        for (const [at, byte] of changes) bytes[at] = byte;
        attempt(bytes);
      }),
      { numRuns: 500 },
    );
  });

  it("of random bytes is refused", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        expect(() => openTokenizer(bytes)).toThrow(TokenizerError);
      }),
      { numRuns: 1000 },
    );
  });
});
