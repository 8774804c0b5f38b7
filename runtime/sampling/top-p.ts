import { firstWithMass, type MassScratch } from "./first-with-mass.js";
import { softmax } from "./softmax.js";

/**
 * The nucleus: the fewest of the likeliest candidates whose probabilities, at temperature 1 and among these candidates, sum
 * to at least p (Holtzman et al., "The Curious Case of Neural Text Degeneration", 2020). Never none: the likeliest one stays.
 *
 *   logits   f32[vocabSize]
 *   ids      u32[n], the candidates; equal ones with ascending ids
 *   p        0..1
 *   scratch  probabilities f64[vocabSize], and what firstWithMass needs
 */
export function topP(
  logits: Float32Array,
  ids: Uint32Array,
  p: number,
  scratch: MassScratch & { readonly probabilities: Float64Array },
): Uint32Array {
  return firstWithMass(logits, ids, softmax(logits, ids, 1, scratch.probabilities), p, scratch);
}
