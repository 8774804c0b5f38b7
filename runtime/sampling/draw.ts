/**
 * The candidate that a uniform number falls on, by the inverse of the cumulative distribution: the first one, in the order of
 * `ids`, with weights up to and including its own that sum to more than uniform * (the sum of all). One of weight 0 is never
 * drawn.
 *
 *   ids      u32[n], the candidates
 *   weights  f64[vocabSize], by id, >= 0, with a sum over the candidates that is > 0 and need not be 1
 *   uniform  [0, 1)
 */
export function draw(ids: Uint32Array, weights: Float64Array, uniform: number): number {
  let sum = 0;
  for (let i = 0; i < ids.length; i++) sum += weights[ids[i]!]!;

  const target = uniform * sum;
  let i = 0;
  let cumulative = weights[ids[0]!]!;
  // It ends: the same additions in the same order reach the same sum, which is larger than the target.
  while (cumulative <= target) cumulative += weights[ids[++i]!]!;
  return ids[i]!;
}
