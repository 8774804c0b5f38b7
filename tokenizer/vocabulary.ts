import { unsupported } from "./errors.js";
import type { TokenizerModel } from "./model.js";
import { isMatchable, pieceText, pieceType } from "./piece-list.js";
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
    scores: model.merges ? scoresOfMerges(model, tokens) : pieces.scores,
    types: Int32Array.from(pieces.types),
    bos,
    eos,
    unk: pieces.types.indexOf(pieceType.unknown),
    addSpacePrefix: normalization.addDummyPrefix,
  };
}

/** The score of a run of spaces in Llama 2's tokenizer.model: after all else, and of these the leftmost first. */
const scoreOfSpaces = -1e9;

/**
 * Scores that lead to the same merges: SentencePiece merges the two neighbours that make the piece of highest score, and lists its
 * pieces with falling scores. That takes every pair which makes a piece to be a merge, and the merges to come in the order of the
 * pieces that they make. Llama 2's runs of spaces are an exception: they are merged last, whatever their ids.
 */
function scoresOfMerges({ name, merges, pieces }: TokenizerModel, tokens: readonly string[]): Float32Array {
  const ids = new Map<string, number>();
  for (const [id, token] of tokens.entries()) if (isMatchable(pieces.types[id]!)) ids.set(token, id);
  const made = [...ids].map(([token, id]) => {
    const ranks = pairs(token, ids).map(([left, right]) => merges!.rank(left, right));
    if (ranks.includes(-1)) {
      throw unsupported(name, `expected a merge for each two pieces that make "${token}", found fewer`);
    }
    const isSpaces = /^\u2581\u2581+$/.test(token);
    return { token, id, isSpaces, first: Math.min(...ranks), last: Math.max(...ranks) };
  });
  const lastOfOthers = made.reduce((last, piece) => (piece.isSpaces ? last : Math.max(last, piece.last)), -1);
  const spacesAreLast = made.every(({ isSpaces, first }) => !isSpaces || first > lastOfOthers);

  const scores = new Float32Array(tokens.length);
  let before = { token: "", last: -1 };
  for (const [place, { token, id, isSpaces, first, last }] of made.entries()) {
    if (isSpaces && spacesAreLast) {
      scores[id] = scoreOfSpaces;
      continue;
    }
    scores[id] = 0 - place;
    if (last === Number.NEGATIVE_INFINITY) continue; // a character: nothing makes it
    if (first < before.last) {
      throw unsupported(
        name,
        `expected merges that make "${token}" after those that make "${before.token}", found others`,
      );
    }
    before = { token, last };
  }
  return scores;
}

/** The ids of every two pieces that a piece can be put together from. */
function pairs(token: string, ids: ReadonlyMap<string, number>): (readonly [number, number])[] {
  const found: (readonly [number, number])[] = [];
  for (let end = 1; end < token.length; end++) {
    const left = ids.get(token.slice(0, end));
    const right = ids.get(token.slice(end));
    if (left !== undefined && right !== undefined) found.push([left, right]);
  }
  return found;
}
