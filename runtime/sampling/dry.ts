import { pow } from "../math.js";

/**
 * DRY, "don't repeat yourself" (a sampler by p-e-w, 2024, as in llama.cpp): makes tokens less likely that would prolong a
 * repetition. Where the last n tokens, n >= allowedLength, have occurred before, the token that followed them there gets
 *
 *   logit <- logit - multiplier * base^(n - allowedLength)
 *
 * with the largest n, where it followed several such places.
 *
 *   logits   f32[vocabSize], changed in place
 *   recent   the window: ids of the vocabulary, the last one last
 *   sinceBreaker  of how many of the last tokens, at most so many as asked, none is part of a sequence breaker: a repetition
 *                 counts as far as that
 */
export function penalizeProlonging(
  logits: Float32Array,
  recent: readonly number[],
  sinceBreaker: (most: number) => number,
  dry: { readonly multiplier: number; readonly base: number; readonly allowedLength: number },
): void {
  const { multiplier, base, allowedLength } = dry;
  const repeated = repetitionLengths(recent);
  const most = repeated.reduce((a, b) => Math.max(a, b), 0);
  if (most < allowedLength) return;

  const longest = sinceBreaker(most);
  const lengths = new Map<number, number>();
  for (let shift = 1; shift < recent.length; shift++) {
    const length = Math.min(repeated[shift]!, longest);
    const id = recent[recent.length - shift]!;
    if (length >= allowedLength) lengths.set(id, Math.max(length, lengths.get(id) ?? 0));
  }
  for (const [id, length] of lengths) logits[id]! -= multiplier * pow(base, length - allowedLength);
}

/**
 * How many tokens at the end of a sequence, moved to the front by `shift`, are the ones that stand there: by shifts from 1 on.
 *
 * It is the Z function (Gusfield, "Algorithms on Strings, Trees, and Sequences", 1997, section 1.4) of the reversed sequence, in
 * linear time: what lies within the match that reaches furthest is known without looking.
 */
function repetitionLengths(ids: readonly number[]): Uint32Array {
  const n = ids.length;
  const fromEnd = (i: number) => ids[n - 1 - i];
  const lengths = new Uint32Array(n);
  let matchBegin = 0;
  let matchEnd = 0;
  for (let shift = 1; shift < n; shift++) {
    let length = shift < matchEnd ? Math.min(lengths[shift - matchBegin]!, matchEnd - shift) : 0;
    while (shift + length < n && fromEnd(length) === fromEnd(shift + length)) length++;
    lengths[shift] = length;
    if (shift + length > matchEnd) {
      matchBegin = shift;
      matchEnd = shift + length;
    }
  }
  return lengths;
}

/**
 * How many tokens stand after the last sequence breaker: a text, which may be spread over several tokens. At most `most`, beyond
 * which none is looked for.
 *
 * @param textOf the text of a token
 */
export function tokensSinceBreaker(
  ids: readonly number[],
  breakers: readonly string[],
  textOf: (id: number) => string,
  most = ids.length,
): number {
  const longest = breakers.reduce((longest, { length }) => Math.max(longest, length), 0);
  if (longest === 0) return Math.min(ids.length, most);
  const first = Math.max(0, ids.length - most - longest); // one may begin before and end within
  let following = ""; // what stands after the token that is looked at, as far as a breaker may reach into it
  for (let i = ids.length - 1; i >= first; i--) {
    const own = textOf(ids[i]!);
    const text = own + following;
    const ends = breakers.map((breaker) => {
      const begin = text.lastIndexOf(breaker);
      return begin >= 0 && begin < own.length ? begin + breaker.length : 0;
    });
    let rest = Math.max(...ends) - own.length;
    if (rest > -own.length) {
      let last = i;
      while (rest > 0) rest -= textOf(ids[++last]!).length;
      return Math.min(ids.length - 1 - last, most);
    }
    following = text.slice(0, longest - 1);
  }
  return Math.min(ids.length, most);
}
