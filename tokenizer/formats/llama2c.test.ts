import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { smallModelBytes, smallTokenizerBin } from "../../test/small-tokenizer.js";
import { openTokenizer, TokenizerError } from "../index.js";

const fromModel = openTokenizer(smallModelBytes());

describe.each([{ legacy: false }, { legacy: true }])("llama2.c's tokenizer.bin, %o,", (form) => {
  const tokenizer = openTokenizer(smallTokenizerBin(form));

  it("has the pieces of the SentencePiece model that it was made from", () => {
    expect(tokenizer.vocabSize).toBe(fromModel.vocabSize);
    for (let id = 0; id < tokenizer.vocabSize; id++) expect(tokenizer.piece(id)).toBe(fromModel.piece(id));
    expect([tokenizer.unk, tokenizer.bos, tokenizer.eos]).toEqual([0, 1, 2]);
  });

  it("gives the same ids and decodings", () => {
    const text = fc.string({
      unit: fc.constantFrom(..."the cat on a mat,. ", "日", "\u{1f600}", "é", "ü", "\n", "▁"),
    });
    fc.assert(
      fc.property(text, (text) => {
        const ids = fromModel.encode(text);
        expect(tokenizer.encode(text)).toEqual(ids);
        expect(tokenizer.decode(ids)).toBe(fromModel.decode(ids));
      }),
      { numRuns: 300 },
    );
  });
});

describe("a damaged tokenizer.bin", () => {
  const whole = smallTokenizerBin();
  const changed = (change: (view: DataView, bytes: Uint8Array) => void) => {
    const bytes = whole.slice();
    change(new DataView(bytes.buffer), bytes);
    return () => openTokenizer(bytes, { name: "tokenizer.bin" });
  };

  it("with a piece longer than it declares is refused", () => {
    expect(changed((view) => view.setUint32(0, 5, true))).toThrow(
      "Cannot open tokenizer.bin: piece 2: expected at most 5 bytes (max_token_length), found 6",
    );
  });

  it("that ends too early is refused, whether in a piece or between pieces", () => {
    expect(() => openTokenizer(whole.subarray(0, whole.length - 1))).toThrow(TokenizerError);
    expect(() => openTokenizer(whole.subarray(0, 4 + 13 + 13 + 14))).toThrow(
      "expected unk, bos, eos and 256 byte pieces as in llama2.c's tokenizer.bin, found 3 pieces",
    );
  });

  it("with other pieces in the place of bos and bytes is refused", () => {
    expect(changed((_, bytes) => bytes.set([0x78], 4 + 13 + 9))).toThrow("expected <s> as piece 1");
    // the "0" of <0x00>
    expect(changed((_, bytes) => bytes.set([0x67], 4 + 13 + 13 + 14 + 8 + 3))).toThrow(
      "piece 3: expected a byte piece",
    );
  });

  it("cut or changed anywhere is refused or opens, and nothing else", () => {
    const attempt = (bytes: Uint8Array) => {
      try {
        openTokenizer(bytes).encode("the cat");
      } catch (error) {
        expect(error).toBeInstanceOf(TokenizerError);
      }
    };
    for (let length = 0; length < whole.length; length += 7) attempt(whole.subarray(0, length));
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
