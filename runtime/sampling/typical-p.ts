import { log } from "../math.js";
import { firstWithMass, type MassScratch } from "./first-with-mass.js";
import { largestLogit } from "./greedy.js";
import { softmax } from "./softmax.js";

/**
 * The locally typical set: candidates whose surprise is nearest to what is expected, the fewest whose probabilities, at
 * temperature 1 and among these candidates, sum to at least p (Meister et al., "Locally Typical Sampling", 2023):
 *
 *   distance[id] = |-ln probability[id] - H|,   H = -sum of probability * ln probability
 *
 *   logits   f32[vocabSize]
 *   ids      u32[n], the candidates; equal ones with ascending ids
 *   p        0..1
 *   scratch  probabilities f64[vocabSize], values f32[vocabSize], and what firstWithMass needs
 *
 * Distances are compared in float32.
 */
export function typicalP(
  logits: Float32Array,
  ids: Uint32Array,
  p: number,
  scratch: MassScratch & { readonly probabilities: Float64Array; readonly values: Float32Array },
): Uint32Array {
  const probabilities = softmax(logits, ids, 1, scratch.probabilities);
  const max = largestLogit(logits, ids);
  let largest = 0;
  for (let i = 0; i < ids.length; i++) largest = Math.max(largest, probabilities[ids[i]!]!);
  const least = -log(largest);
  const surprise = (id: number) => max - logits[id]! + least;

  let expected = 0;
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    const probability = probabilities[id]!;
    if (probability > 0) expected += probability * surprise(id);
  }
  const { values } = scratch;
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    values[id] = -Math.abs(surprise(id) - expected);
  }
  return firstWithMass(values, ids, probabilities, p, scratch);
}
