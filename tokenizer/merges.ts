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
}

function keyOf(left: number, right: number): number {
  return left * 2 ** 24 + right;
}
