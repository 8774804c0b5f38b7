import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { writeCharacterMap } from "../test/character-map-writer.js";
import { goldEncodings, goldFolder, goldModel } from "../test/gold.js";
import type { ModelDescription, NormalizerDescription } from "../test/model-proto-writer.js";
import { smallModel, smallModelBytes } from "../test/small-tokenizer.js";
import { openTokenizer } from "./index.js";

/**
 * decode(encode(x)) is normalize(x) with the space in front dropped, where the model puts one there or removes extra ones,
 * and U+2581 as spaces. So it is for models of every type that lose nothing: those with byte fallback, U+2581 among
 * their pieces, and no denormalizer. In models that remove extra spaces it is so for texts without a U+2581 of their own,
 * of which decoding drops more than one in front.
 */
function readable(normalized: string, { addDummyPrefix, removeExtraWhitespaces }: NormalizerDescription) {
  const text = addDummyPrefix || removeExtraWhitespaces ? normalized.replace(/^\u2581/, "") : normalized;
  return text.replaceAll("\u2581", " ");
}

const texts = fc.string({
  unit: fc.oneof(
    fc.constantFrom(
      ..."the cat on a mat. ",
      "  ",
      "\u2581",
      "A",
      "日",
      "\u{1f600}",
      "é",
      "\n",
      "\0",
      "\ud800",
      "ﬁ",
      "<s>",
    ),
    fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
  ),
  maxLength: 40,
});

const flags = fc.record({
  addDummyPrefix: fc.boolean(),
  removeExtraWhitespaces: fc.boolean(),
  escapeWhitespaces: fc.boolean(),
});

/** Some pieces unused, some user-defined. */
const odd = smallModel.pieces.map((piece, id) =>
  id > 258 && id % 5 === 0 && piece.piece !== "▁" ? { ...piece, type: 4 + (id % 2) } : piece,
);

const models = fc.record({
  trainer: fc.record({
    modelType: fc.constantFrom(1, 2, 4), // unigram, BPE, char
    whitespaceAsSuffix: fc.boolean(),
    byteFallback: fc.constant(true),
  }),
  normalizer: flags,
  pieces: fc.constantFrom(smallModel.pieces, odd),
  characterMap: fc.constantFrom(
    undefined,
    writeCharacterMap({ A: "a", ﬁ: "fi", "..": "\u2026", é: "e\u0301" }),
  ),
});

describe("decode(encode(text))", () => {
  it("is the normalized text, its spaces readable, in models that lose nothing", () => {
    fc.assert(
      fc.property(models, texts, ({ trainer, pieces, normalizer: rules, characterMap }, text) => {
        fc.pre(!(rules.removeExtraWhitespaces && text.includes("\u2581")));
        const normalizer: NormalizerDescription = characterMap ? { ...rules, characterMap } : rules;
        const description: Partial<ModelDescription> = { trainer, pieces, normalizer };
        const tokenizer = openTokenizer(smallModelBytes(description));
        const expected = readable(tokenizer.normalize(text), normalizer);
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(expected);
      }),
      { numRuns: 500 },
    );
  });

  it.skipIf(!goldFolder)("is so for Llama 2's vocabulary, nasty texts and malformed bytes too", () => {
    const tokenizer = openTokenizer(goldModel("llama2"));
    for (const { name, text } of goldEncodings("llama2")) {
      const expected = readable(tokenizer.normalize(text), { addDummyPrefix: true });
      expect([name, tokenizer.decode(tokenizer.encode(text))]).toEqual([name, expected]);
    }
  });
});
