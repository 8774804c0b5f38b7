import { expOfNegative, log } from "../math.js";
import { everyId } from "./candidates.js";
import { topK } from "./top-k.js";

/** A token and the natural logarithm of its probability. */
export interface TokenLogprob {
  /** Its id. */
  readonly token: number;
  /** 0 at most; in nats. */
  readonly logprob: number;
}

/**
 * How likely the model took a token to be, and which `count` tokens it took to be the likeliest, best first: by its own
 * distribution, before any sampling step.
 *
 *   logprob[id] = logits[id] - ln(sum of e^logits)
 *
 *   logits  f32[vocabSize]
 */
export function logProbabilities(
  logits: Float32Array,
  id: number,
  count: number,
): { readonly logprob: number; readonly top: readonly TokenLogprob[] } {
  const ids = everyId(new Uint32Array(logits.length));
  const best = count > 0 ? topK(logits, ids, count) : ids.subarray(0, 0);
  let max = -Infinity;
  for (let i = 0; i < logits.length; i++) if (logits[i]! > max) max = logits[i]!;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += expOfNegative(logits[i]! - max);
  const logprob = (token: number) => logits[token]! - max - log(sum);
  return { logprob: logprob(id), top: Array.from(best, (token) => ({ token, logprob: logprob(token) })) };
}
