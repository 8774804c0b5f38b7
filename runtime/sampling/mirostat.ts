import { log, pow } from "../math.js";
import { withAtLeast } from "./candidates.js";

/**
 * Mirostat 2.0 (Basu et al., "Mirostat: A Neural Text Decoding Algorithm that Directly Controls Perplexity", 2021): only tokens
 * that surprise by at most mu bits may be drawn, and mu follows what was drawn, so that the mean surprise nears a target.
 *
 * This is the step that narrows the candidates, by their probabilities p[id], to those with -log2 p[id] <= mu, in their order; to
 * the likeliest where there is none.
 *
 *   ids            u32[n], the candidates
 *   probabilities  f64[vocabSize], by id
 *   mu             in bits
 */
export function surprisingAtMost(ids: Uint32Array, probabilities: Float64Array, mu: number): Uint32Array {
  let largest = 0;
  for (let i = 0; i < ids.length; i++) largest = Math.max(largest, probabilities[ids[i]!]!);
  return withAtLeast(probabilities, ids, Math.min(pow(2, -mu), largest));
}

/** How mu goes on after a token was drawn whose probability, among those that could be, was `probability`. */
export function nextMu(
  mu: number,
  probability: number,
  { tau, eta }: { readonly tau: number; readonly eta: number },
): number {
  const surprise = -log(probability) * Math.LOG2E;
  return mu - eta * (surprise - tau);
}
