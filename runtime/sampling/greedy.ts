import { nonFiniteLogit } from "./non-finite-logit.js";

/**
 * The id of the largest logit, the lowest id where several are equal.
 *
 *   logits  f32[vocabSize]
 *
 * Throws a NumericError when a logit is NaN or infinite.
 */
export function greedy(logits: Float32Array): number {
  let best = 0;
  let bestLogit = -Infinity;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (!Number.isFinite(logit)) throw nonFiniteLogit(id, logit);
    if (logit > bestLogit) {
      best = id;
      bestLogit = logit;
    }
  }
  return best;
}
