import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytePieces, specialPieces, writeModelProto } from "../test/model-proto-writer.js";
import { smallModelBytes } from "../test/small-tokenizer.js";
import { openTokenizer, type Tokenizer } from "./index.js";

const tokenizer = openTokenizer(smallModelBytes());
const byte = (value: number) => 3 + value;
const id = (piece: string) => tokenizer.id(piece)!;

/** The parts that a stream gives: one for each id, then the end. */
function stream(ids: readonly number[], options?: { continues: boolean }): string[] {
  const decoder = tokenizer.decoder(options);
  return [...ids.map((id) => decoder.push(id)), decoder.end()];
}

// Expected texts are those of spm_decode 0.1.97 with the same model, unless a test says otherwise.
describe("decode()", () => {
  it("drops the space that encoding put in front, and only that", () => {
    expect(tokenizer.decode([id("▁the"), id("▁cat")])).toBe("the cat");
    expect(tokenizer.decode([id("▁"), id("▁cat")])).toBe(" cat");
    expect(tokenizer.decode([id("▁▁"), id("▁cat")])).toBe("  cat");
    expect(tokenizer.decode([id("he"), id("▁cat")])).toBe("he cat");
  });

  it("drops the first space after invisible pieces too", () => {
    expect(tokenizer.decode([1, id("▁the"), 2, 1, id("▁cat")])).toBe("the cat");
  });

  it("shows unk as a double question mark, which is text: no space is dropped after it", () => {
    expect(tokenizer.decode([0])).toBe(" \u2047 ");
    expect(tokenizer.decode([0, id("▁cat")])).toBe(" \u2047  cat");
  });

  it("shows unk as the model says", () => {
    const pieces = [...specialPieces, { piece: "▁a" }];
    const open = (unkSurface: string) =>
      openTokenizer(
        writeModelProto({
          pieces,
          trainer: { modelType: 2, unkSurface },
          normalizer: { removeExtraWhitespaces: false },
        }),
      );
    expect(open("<?>").decode([3, 0, 3])).toBe("a<?> a");
    expect(open("").decode([0, 3, 3])).toBe("a a");
    // SentencePiece hands it on as a C string
    expect(open("x\0y").decode([3, 0])).toBe("ax");
  });

  it("takes ids from the last to the first, if asked for", () => {
    expect(tokenizer.decode([id("▁cat"), id("he"), id("▁t")], { reverse: true })).toBe("the cat");
    expect(tokenizer.decodePieces(["▁cat", "▁the"], { reverse: true })).toBe("the cat");
  });

  it("decodes pieces too, and what is no piece as it stands", () => {
    expect(tokenizer.decodePieces(["<s>", "▁the", "▁cat", "<0xE2>", "<0x80>", "<0xA6>"])).toBe(
      "the cat\u2026",
    );
    expect(tokenizer.decodePieces(["▁dog", "▁cat"])).toBe("▁dog cat");
    expect(tokenizer.decodePieces(["<0xE2>", "▁dog", "<unk>", ""])).toBe("\ufffd▁dog \u2047 ");
  });

  it("puts the bytes of byte pieces together", () => {
    expect(tokenizer.decode([byte(0xe6), byte(0x9c), byte(0xac)])).toBe("本");
    expect(tokenizer.decode([byte(0xf0), byte(0x9f), byte(0x98), byte(0x80), byte(0x21)])).toBe("\u{1f600}!");
  });

  it("gives one U+FFFD for each byte that is no part of a character", () => {
    expect(tokenizer.decode([byte(0xe6), byte(0x9c)])).toBe("\ufffd\ufffd");
    expect(tokenizer.decode([byte(0xe6), byte(0x9c), byte(0x41)])).toBe("\ufffd\ufffdA");
    expect(tokenizer.decode([byte(0xff), byte(0x80)])).toBe("\ufffd\ufffd");
    // an encoded surrogate, an overlong slash, a character past U+10FFFF
    expect(tokenizer.decode([byte(0xed), byte(0xa0), byte(0x80)])).toBe("\ufffd\ufffd\ufffd");
    expect(tokenizer.decode([byte(0xc0), byte(0xaf)])).toBe("\ufffd\ufffd");
    expect(tokenizer.decode([byte(0xf4), byte(0x90), byte(0x80), byte(0x80)])).toBe("\ufffd".repeat(4));
  });

  it("does not put bytes together across another piece, even an invisible one", () => {
    expect(tokenizer.decode([byte(0xe6), 1, byte(0x9c), byte(0xac)])).toBe("\ufffd\ufffd\ufffd");
  });

  it("keeps the first space where no space is put in front", () => {
    const nothing = { addDummyPrefix: false, removeExtraWhitespaces: false };
    expect(openTokenizer(smallModelBytes({ normalizer: nothing })).decode([id("▁the")])).toBe(" the");
  });

  it("drops a space from every piece until there is text, where extra spaces are removed", () => {
    const removing = openTokenizer(smallModelBytes({ normalizer: { removeExtraWhitespaces: true } }));
    const space = id("▁");
    expect(removing.decode([space, space, space, id("▁cat"), space, id("▁cat")])).toBe("cat  cat");
    // a piece of two spaces leaves one, which is text
    expect(removing.decode([id("▁▁"), id("▁cat")])).toBe("  cat");
  });

  it("keeps the first space when the ids continue a text", () => {
    expect(tokenizer.decode([id("▁cat")], { continues: true })).toBe(" cat");
    expect(stream([id("▁cat"), id("▁sat")], { continues: true })).toEqual([" cat", " sat", ""]);
  });

  it("takes any iterable", () => {
    expect(tokenizer.decode(new Set([id("▁the"), id("▁cat")]))).toBe("the cat");
    expect(tokenizer.decode(Int32Array.of(id("▁cat")))).toBe("cat");
  });

  it.each([-1, tokenizer.vocabSize, 1.5, Number.NaN, Infinity])(
    "refuses the id %d with a RangeError that names it",
    (wrong) => {
      const last = tokenizer.vocabSize - 1;
      expect(() => tokenizer.decode([4, wrong])).toThrow(RangeError);
      expect(() => tokenizer.decode([4, wrong])).toThrow(`expected an id from 0 to ${last}, found ${wrong}`);
      expect(() => tokenizer.piece(wrong)).toThrow(RangeError);
    },
  );
});

describe("decoder()", () => {
  it("gives a character with the last of its bytes", () => {
    expect(stream([id("▁a"), byte(0xf0), byte(0x9f), byte(0x98), byte(0x80), id("▁a")])).toEqual([
      "a",
      "",
      "",
      "",
      "\u{1f600}",
      " a",
      "",
    ]);
  });

  it("gives up on bytes as soon as they can be no character", () => {
    expect(stream([byte(0xe6), byte(0x9c), byte(0x41)])).toEqual(["", "", "\ufffd\ufffdA", ""]);
    expect(stream([byte(0x80)])).toEqual(["\ufffd", ""]);
    expect(stream([byte(0xed), byte(0xa0)])).toEqual(["", "\ufffd\ufffd", ""]);
  });

  it("gives held bytes at the end, and begins anew", () => {
    const decoder = tokenizer.decoder();
    expect(decoder.push(id("▁cat")) + decoder.push(byte(0xe6))).toBe("cat");
    expect(decoder.end()).toBe("\ufffd");
    expect(decoder.push(id("▁cat"))).toBe("cat");
  });

  it("is as before after an id that it refuses", () => {
    const decoder = tokenizer.decoder();
    decoder.push(byte(0xe6));
    decoder.push(byte(0x9c));
    expect(() => decoder.push(-1)).toThrow(RangeError);
    expect(decoder.push(byte(0xac))).toBe("本");
  });

  const ids = fc.array(
    fc.oneof(
      fc.integer({ min: 0, max: tokenizer.vocabSize - 1 }),
      fc.constantFrom(0, 1, 2, id("▁"), id("▁▁")),
      fc.constantFrom(0xf0, 0x9f, 0x98, 0x80, 0xe6, 0x9c, 0xac, 0xc3, 0xa9).map(byte),
    ),
    { maxLength: 40 },
  );
  const models: Record<string, Tokenizer> = {
    "like Llama 2": tokenizer,
    "that removes extra spaces": openTokenizer(
      smallModelBytes({ normalizer: { removeExtraWhitespaces: true } }),
    ),
    "without a dummy prefix": openTokenizer(
      smallModelBytes({ normalizer: { removeExtraWhitespaces: false, addDummyPrefix: false } }),
    ),
  };

  it.each(Object.entries(models))(
    "gives in parts what decode() gives at once, for a model %s",
    (_, model) => {
      fc.assert(
        fc.property(ids, fc.boolean(), (ids, continues) => {
          const decoder = model.decoder({ continues });
          const parts = ids.map((id) => decoder.push(id));
          parts.push(decoder.end());
          expect(parts.join("")).toBe(model.decode(ids, { continues }));
          // whole characters: no part ends or begins within a surrogate pair
          for (const part of parts) expect(part).not.toMatch(/[\ud800-\udfff]/u);
        }),
        { numRuns: 500 },
      );
    },
  );

  it("gives what decoding all bytes together gives", () => {
    // the plain twin: collect each run of byte pieces, then cut it into characters
    const bytesOnly = fc.array(
      fc.constantFrom(0x41, 0x80, 0x9f, 0xa0, 0xc2, 0xc3, 0xe0, 0xed, 0xf0, 0xf4, 0xff),
      {
        maxLength: 12,
      },
    );
    fc.assert(
      fc.property(bytesOnly, (bytes) => {
        expect(tokenizer.decode(bytes.map(byte))).toBe(plainDecode(bytes));
      }),
      { numRuns: 1000 },
    );
  });
});

/** One U+FFFD for each byte that begins no valid character; what is valid is for TextDecoder to say. */
function plainDecode(bytes: readonly number[]): string {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const character = [1, 2, 3, 4]
      .filter((length) => at + length <= bytes.length)
      .map((length) => {
        try {
          return decoder.decode(Uint8Array.from(bytes.slice(at, at + length)));
        } catch {
          return undefined;
        }
      })
      .find((text) => text !== undefined);
    text += character ?? "\ufffd";
    at += character === undefined ? 1 : new TextEncoder().encode(character).length;
  }
  return text;
}

describe("decode(encode(text))", () => {
  const text = fc.string({
    unit: fc.constantFrom(..."the cat sat on a mat. ", "日", "本", "語", "\u{1f600}", "\n", "\0"),
    maxLength: 60,
  });

  it("is the text, in a model like Llama 2's", () => {
    fc.assert(
      fc.property(text, (text) => {
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
      }),
    );
  });

  it("is the text with U+FFFD for what is malformed, and a space for a literal U+2581", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 40 }), (text) => {
        const expected = new TextDecoder().decode(new TextEncoder().encode(text)).replaceAll("▁", " ");
        // TextDecoder drops a byte order mark at the beginning, the tokenizer does not
        const mark = text.startsWith("\ufeff") ? "\ufeff" : "";
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(mark + expected);
      }),
    );
  });

  it("loses nothing but spaces, in a model that removes extra ones", () => {
    const removing = openTokenizer(smallModelBytes({ normalizer: { removeExtraWhitespaces: true } }));
    fc.assert(
      fc.property(text, (text) => {
        const expected = text.replace(/^ +| +$/g, "").replace(/ +/g, " ");
        expect(removing.decode(removing.encode(text))).toBe(expected);
      }),
    );
  });
});

it("the small model's byte pieces are where these tests take them to be", () => {
  expect(bytePieces).toHaveLength(256);
  expect(tokenizer.piece(byte(0xe6))).toBe("<0xE6>");
});
