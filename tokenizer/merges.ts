import { unsupported } from "./errors.js";
import { isMatchable } from "./piece-list.js";

/** The score of a run of spaces in Llama 2's tokenizer.model: after all else, and of these the leftmost first. */
const scoreOfSpaces = -1e9;

/** Which two pieces may be merged, and in which order: Hugging Face's way to write what SentencePiece's scores say. */
export class Merges {
  readonly #ranks = new Map<number, number>();

  add(left: number, right: number, rank: number): void {
    this.#ranks.set(keyOf(left, right), rank);
  }

  /** The place of the merge among all, 0 the first, or -1 where there is none. */
  rank(left: number, right: number): number {
    return left < 0 || right < 0 ? -1 : (this.#ranks.get(keyOf(left, right)) ?? -1);
  }

  /**
   * Scores of the pieces that lead to the same merges: SentencePiece merges the two neighbours that make the piece of highest score, and
   * lists its pieces with falling scores. That takes every pair which makes a piece to be a merge, and the merges to come in the order of
   * the pieces that they make. Llama 2's runs of spaces are an exception: they are merged last, whatever their ids.
   *
   * @throws UnsupportedTokenizerError where that is not so
   */
  scores(tokens: readonly string[], types: Uint8Array, vocabulary: string): Float32Array {
    const ids = new Map<string, number>();
    for (const [id, token] of tokens.entries()) if (isMatchable(types[id]!)) ids.set(token, id);
    const made = [...ids].map(([token, id]) => {
      const ranks = pairs(token, ids).map(([left, right]) => this.rank(left, right));
      if (ranks.includes(-1)) {
        throw unsupported(
          vocabulary,
          `expected a merge for each two pieces that make "${token}", found fewer`,
        );
      }
      const isSpaces = /^\u2581\u2581+$/.test(token);
      return { token, id, isSpaces, first: Math.min(...ranks), last: Math.max(...ranks) };
    });
    const lastOfOthers = made.reduce(
      (last, piece) => (piece.isSpaces ? last : Math.max(last, piece.last)),
      -1,
    );
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
          vocabulary,
          `expected merges that make "${token}" after those that make "${before.token}", found others`,
        );
      }
      before = { token, last };
    }
    return scores;
  }
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

function keyOf(left: number, right: number): number {
  return left * 2 ** 24 + right;
}
