import { NumericError } from "../errors.js";

/**
 * Throws a NumericError when a logit is NaN or infinite: a model with such weights would otherwise answer in random text.
 *
 *   logits  f32[vocabSize]
 */
export function checkFinite(logits: Float32Array): void {
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (!Number.isFinite(logit)) {
      throw new NumericError(
        `Cannot predict a token: expected finite logits, found ${logit} for token ${id}`,
      );
    }
  }
}
