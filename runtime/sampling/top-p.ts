import { softmax } from "./softmax.js";

/**
 * The nucleus: the fewest of the best candidates whose probabilities, at temperature 1 and among these candidates, sum
 * to at least p (Holtzman et al., "The Curious Case of Neural Text Degeneration", 2020). Never none: the best one stays.
 *
 *   logits   f32[vocabSize]
 *   ids      u32[n], best first
 *   p        0..1
 *   scratch  f64[at least n]
 *
 * @returns the head of `ids`
 */
export function topP(logits: Float32Array, ids: Uint32Array, p: number, scratch: Float64Array): Uint32Array {
  const probabilities = softmax(logits, ids, 1, scratch);
  let kept = 0;
  let sum = 0;
  do sum += probabilities[kept++]!;
  while (sum < p && kept < ids.length);
  return ids.subarray(0, kept);
}
