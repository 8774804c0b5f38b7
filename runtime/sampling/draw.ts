/**
 * The index that a uniform number falls on, by the inverse of the cumulative distribution: the first i with
 * weights[0] + ... + weights[i] > uniform * (the sum of all). An index of weight 0 is never drawn.
 *
 *   weights  f64[n], >= 0, with a sum > 0 that need not be 1
 *   uniform  [0, 1)
 */
export function draw(weights: Float64Array, uniform: number): number {
  let sum = 0;
  for (const weight of weights) sum += weight;

  const target = uniform * sum;
  let index = 0;
  let cumulative = weights[0]!;
  // It ends: the same additions in the same order reach the same sum, which is larger than the target.
  while (cumulative <= target) cumulative += weights[++index]!;
  return index;
}
