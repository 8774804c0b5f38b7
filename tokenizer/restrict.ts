import { TokenizerError } from "./errors.js";
import type { TokenizerModel } from "./model.js";
import { pieceType, scoreRange } from "./piece-list.js";
import { decodeUtf8, leadLength } from "./utf8.js";

/**
 * The same model, whose texts become pieces of a vocabulary and single characters only: all other pieces become unused
 * ones, which BPE takes apart again and unigram passes over. SentencePiece's SetVocabulary. It makes unused pieces of
 * byte pieces too, which changes no encoding and spoils decoding: that is not followed.
 *
 * @throws TokenizerError for a word or char model, as SentencePiece does
 */
export function restrictTo(vocabulary: Iterable<string>, model: TokenizerModel): TokenizerModel {
  const { name, algorithm, pieces } = model;
  if (algorithm !== "bpe" && algorithm !== "unigram") {
    throw new TokenizerError(
      `Cannot restrict ${name} to a vocabulary: expected a unigram or BPE model, found a ${algorithm} model`,
    );
  }
  const { bytes, starts, ends } = pieces;
  const allowed = new Set(vocabulary);
  const types = pieces.types.map((type, id) => {
    if (type !== pieceType.normal && type !== pieceType.unused) return type;
    const start = starts[id]!;
    const end = ends[id]!;
    const isOneCharacter = leadLength(bytes[start]!) === end - start;
    return isOneCharacter || allowed.has(decodeUtf8(bytes, start, end)) ? pieceType.normal : pieceType.unused;
  });
  return {
    ...model,
    pieces: { ...pieces, types },
    scoreRange: scoreRange(pieces), // SentencePiece takes it when it loads the model
    selfTests: [], // they hold for the whole vocabulary
  };
}
