import { unsupported } from "./errors.js";
import type { TokenizerModel } from "./model.js";
import { pieceText, pieceType } from "./piece-list.js";
import type { VocabularyData } from "./tokenizer.js";

/**
 * A vocabulary as plain data with GGUF's fields, from which the same tokenizer can be made again: what fromVocabulary reads.
 *
 * @throws UnsupportedTokenizerError for one that these fields cannot say: of another type than BPE, with rules that rewrite the
 *   text, or with merges in an order that is not the pieces'
 */
export function vocabularyData(model: TokenizerModel): VocabularyData {
  const { name, algorithm, byteFallback, normalization, pieces, bos, eos } = model;
  const refuse = (what: string) => unsupported(name, `${what} cannot be said in a GGUF's vocabulary`);
  if (algorithm !== "bpe") throw refuse(`a vocabulary of type ${algorithm}`);
  if (!byteFallback) throw refuse("a vocabulary without byte fallback");
  if (normalization.characterMap) throw refuse("a character map");
  if (normalization.removeExtraWhitespaces) throw refuse("the removal of extra spaces");
  if (
    !normalization.escapeWhitespaces ||
    normalization.whitespaceAsSuffix ||
    normalization.splitsWords ||
    normalization.prefix !== "always"
  ) {
    throw refuse("its treatment of spaces");
  }
  const tokens = Array.from({ length: pieces.count }, (_, id) => pieceText(pieces, id));
  return {
    model: "llama",
    tokens,
    scores: model.merges?.scores(tokens, pieces.types, name) ?? pieces.scores,
    types: Int32Array.from(pieces.types),
    bos,
    eos,
    unk: pieces.types.indexOf(pieceType.unknown),
    addSpacePrefix: normalization.addDummyPrefix,
  };
}
