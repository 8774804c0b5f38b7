/** How many tokens after the first `keep` make room in a context that `length` tokens do not fit: half of it, or as many as are too many. */
export function tokensToDrop(length: number, keep: number, contextLength: number): number {
  return Math.max(length - contextLength, (contextLength - keep) >> 1);
}
