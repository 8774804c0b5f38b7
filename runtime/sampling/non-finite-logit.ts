import { NumericError } from "../errors.js";

/** What to throw for a logit that is no number: a model with such weights would otherwise answer in random text. */
export function nonFiniteLogit(id: number, logit: number): NumericError {
  return new NumericError(`Cannot predict a token: expected finite logits, found ${logit} for token ${id}`);
}
