import { softmax } from "./softmax.js";

/**
 * Exclude top choices: where several candidates have a probability of at least the threshold, at temperature 1 and among these
 * candidates, all but the least likely of them go. (A sampler by p-e-w, 2024, as in llama.cpp. That it happens with a certain
 * probability only is the caller's business.) The others stay in their order.
 *
 *   logits     f32[vocabSize]
 *   ids        u32[n], the candidates
 *   threshold  > 0; beyond 0.5 nothing goes
 *   scratch    f64[vocabSize]
 */
export function excludeTopChoices(
  logits: Float32Array,
  ids: Uint32Array,
  threshold: number,
  scratch: Float64Array,
): Uint32Array {
  const probabilities = softmax(logits, ids, 1, scratch);
  let last = -1; // the least likely of the top choices, of equal ones the highest id
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    if (probabilities[id]! < threshold) continue;
    const isLess = last < 0 || probabilities[id]! < probabilities[last]!;
    if (isLess || (probabilities[id] === probabilities[last] && id > last)) last = id;
  }
  let kept = 0;
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    if (probabilities[id]! < threshold || id === last) ids[kept++] = id;
  }
  return ids.subarray(0, kept);
}
