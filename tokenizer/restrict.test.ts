import { describe, expect, it } from "vitest";
import { smallModel, smallModelBytes } from "../test/small-tokenizer.js";
import { openTokenizer, TokenizerError } from "./index.js";

// More, against spm_encode's answers, in spm-answers.test.ts; here what those texts do not show.
describe("a tokenizer restricted to a vocabulary", () => {
  const vocabulary = ["▁t", "he", "▁cat", "no piece"];
  const tokenizer = openTokenizer(smallModelBytes(), { vocabulary });
  const pieces = (text: string) => tokenizer.encode(text).map((id) => tokenizer.piece(id));

  it("encodes with its pieces and with single characters", () => {
    expect(pieces("the cat on")).toEqual(["▁t", "he", "▁cat", "▁", "o", "n"]);
    expect(pieces("\u{1f680}")).toEqual(["▁", "<0xF0>", "<0x9F>", "<0x9A>", "<0x80>"]);
  });

  it("decodes all pieces, those of bytes too", () => {
    const whole = openTokenizer(smallModelBytes());
    const ids = whole.encode("the cat on the mat \u{1f680}");
    expect(tokenizer.decode(ids)).toBe("the cat on the mat \u{1f680}");
  });

  it("passes over self-tests, which hold for the whole vocabulary", () => {
    const bytes = smallModelBytes({ selfTests: [{ input: "on", expected: "▁on" }] });
    expect(openTokenizer(bytes, { vocabulary: [] }).encode("on")).toHaveLength(3);
  });

  it("is not to be had of word and char models", () => {
    for (const modelType of [3, 4]) {
      const pieces = smallModel.pieces.filter(({ type }) => type !== 6);
      const bytes = smallModelBytes({ pieces, trainer: { modelType } });
      expect(() => openTokenizer(bytes, { vocabulary })).toThrow(TokenizerError);
    }
  });
});
