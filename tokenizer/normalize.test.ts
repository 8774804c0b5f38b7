import { describe, expect, it } from "vitest";
import { writeCharacterMap } from "../test/character-map-writer.js";
import { type NormalizerDescription, specialPieces, writeModelProto } from "../test/model-proto-writer.js";
import { smallModelBytes } from "../test/small-tokenizer.js";
import { plainNormalization } from "./model.js";
import { normalize } from "./normalize.js";
import { openTokenizer } from "./open.js";
import { encodeUtf8 } from "./utf8.js";

function normalized(input: string | Uint8Array, changes: Partial<typeof plainNormalization> = {}): string {
  const bytes = typeof input === "string" ? encodeUtf8(input) : input;
  const result = normalize(bytes, { ...plainNormalization, ...changes }, undefined);
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
    result.bytes.subarray(0, result.length),
  );
}

describe("normalize()", () => {
  it("puts a space in front and writes spaces as U+2581", () => {
    expect(normalized("Hello world")).toBe("▁Hello▁world");
    expect(normalized("  a \n")).toBe("▁▁▁a▁\n");
    expect(normalized(" ")).toBe("▁▁");
  });

  it("puts nothing in front of nothing", () => {
    expect(normalized("")).toBe("");
    expect(normalized("   ", { removeExtraWhitespaces: true })).toBe("");
  });

  it("removes extra spaces, and a literal U+2581 at the end with them", () => {
    const removing = { removeExtraWhitespaces: true };
    expect(normalized("  a   b  ", removing)).toBe("▁a▁b");
    expect(normalized("a\t b", removing)).toBe("▁a\t▁b");
    expect(normalized("a▁ ▁", removing)).toBe("▁a");
    expect(normalized(" ▁", removing)).toBe("");
  });

  it("puts the space at the end where words carry it there", () => {
    const suffix = { whitespaceAsSuffix: true };
    expect(normalized("a b", suffix)).toBe("a▁b▁");
    expect(normalized("a ", { ...suffix, removeExtraWhitespaces: true })).toBe("a▁");
    expect(normalized("a", { ...suffix, addDummyPrefix: false })).toBe("a");
  });

  it("keeps spaces as they are where they are not escaped", () => {
    expect(normalized("a b", { escapeWhitespaces: false })).toBe(" a b");
    expect(normalized(" a  b ", { escapeWhitespaces: false, removeExtraWhitespaces: true })).toBe(" a b");
  });

  it("replaces each malformed byte by U+FFFD", () => {
    const bytes = (...values: number[]) => normalized(Uint8Array.from(values), { addDummyPrefix: false });
    expect(bytes(0xe3, 0x81)).toBe("\ufffd\ufffd");
    expect(bytes(0x61, 0xff, 0x62)).toBe("a\ufffdb");
    expect(bytes(0xed, 0xa0, 0x80)).toBe("\ufffd".repeat(3)); // a surrogate
    expect(bytes(0xc0, 0x80)).toBe("\ufffd\ufffd"); // an overlong NUL
    expect(bytes(0xe0, 0x80, 0x80)).toBe("\ufffd".repeat(3));
    expect(bytes(0xf0, 0x8f, 0xbf, 0xbf)).toBe("\ufffd".repeat(4));
    expect(bytes(0xf4, 0x90, 0x80, 0x80)).toBe("\ufffd".repeat(4)); // past U+10FFFF
    expect(bytes(0xf4, 0x8f, 0xbf, 0xbf)).toBe("\u{10ffff}");
  });

  it("knows the valid characters that TextDecoder knows", () => {
    const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    for (let lead = 0x80; lead < 0x100; lead++) {
      for (const second of [0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff]) {
        for (const rest of [[], [0x80], [0xc0], [0x80, 0xbf], [0x80, 0x41]]) {
          const bytes = Uint8Array.of(lead, second, ...rest);
          let valid = true;
          try {
            strict.decode(bytes);
          } catch {
            valid = false;
          }
          expect([...bytes, !normalized(bytes).includes("\ufffd")]).toEqual([...bytes, valid]);
        }
      }
    }
  });
});

// Expected ids are those of spm_encode 0.1.97 with the same model.
describe("a user-defined symbol", () => {
  const pieces = [
    ...specialPieces,
    { piece: "a b", type: 4 },
    { piece: " c", type: 4 },
    { piece: "▁x", type: 4 },
    ...["▁", "a", "b", "c", "x"].map((piece, i) => ({ piece, score: -i })),
  ];
  const encode = (text: string, normalizer: NormalizerDescription) =>
    openTokenizer(writeModelProto({ pieces, trainer: { modelType: 2 }, normalizer })).encode(text);

  it("that holds a space is found where spaces are not escaped only", () => {
    const plain = { removeExtraWhitespaces: false, addDummyPrefix: false };
    expect(encode("a b", { ...plain, escapeWhitespaces: false })).toEqual([3]);
    expect(encode("a b", plain)).toEqual([7, 6, 8]);
  });

  it("that begins with U+2581 is found at an escaped space", () => {
    expect(encode("x x", { removeExtraWhitespaces: false })).toEqual([5, 5]);
  });

  it("loses a leading space after another space, where extra ones are removed", () => {
    expect(encode("  c  c", { removeExtraWhitespaces: true })).toEqual([6, 9, 6, 9]);
  });
});

describe("Tokenizer.normalize()", () => {
  it("gives what is cut into pieces, user-defined symbols as they are", () => {
    const pieces = [...specialPieces, { piece: "AB", type: 4 }, { piece: "▁", score: 0 }];
    const characterMap = writeCharacterMap({ A: "a", B: "b", ﬁ: "fi" });
    const tokenizer = openTokenizer(writeModelProto({ pieces, normalizer: { characterMap } }));
    expect(tokenizer.normalize("  ﬁ A  AB\n")).toBe("▁fi▁a▁AB\n");
    expect(tokenizer.normalize(" ")).toBe("");
  });

  it("shows malformed bytes as U+FFFD, also where llama.cpp's conventions keep them", () => {
    const bytes = Uint8Array.of(0x61, 0xff, 0xe3, 0x81);
    for (const conventions of ["sentencepiece", "llama.cpp"] as const) {
      const tokenizer = openTokenizer(smallModelBytes(), { conventions });
      expect(tokenizer.normalize(bytes)).toBe("▁a\ufffd\ufffd\ufffd");
    }
  });
});

it("a lone surrogate in a string becomes U+FFFD", () => {
  const tokenizer = openTokenizer(smallModelBytes());
  expect(tokenizer.encode("a\ud83db")).toEqual(tokenizer.encode("a\ufffdb"));
  expect(tokenizer.encode("\ude00")).toEqual(tokenizer.encode("\ufffd"));
});
