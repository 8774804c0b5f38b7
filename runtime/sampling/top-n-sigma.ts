import { withAtLeast } from "./candidates.js";
import { largestLogit } from "./greedy.js";

/**
 * The candidates whose logits are at most n standard deviations below the largest (Tang et al., "Top-nσ: Not All Logits Are You
 * Need", 2024), in their order:
 *
 *   logits[id] >= max - n sigma,   sigma^2 = mean of (logit - mean)^2
 *
 *   logits  f32[vocabSize]
 *   ids     u32[count], the candidates; banned ones (-Infinity) do not count
 *   n       > 0
 */
export function topNSigma(logits: Float32Array, ids: Uint32Array, n: number): Uint32Array {
  const max = largestLogit(logits, ids);
  const allowed = withAtLeast(logits, ids, -Number.MAX_VALUE);
  let sum = 0;
  for (let i = 0; i < allowed.length; i++) sum += logits[allowed[i]!]!;
  const mean = sum / allowed.length;
  let squares = 0;
  for (let i = 0; i < allowed.length; i++) {
    const deviation = logits[allowed[i]!]! - mean;
    squares += deviation * deviation;
  }
  return withAtLeast(logits, allowed, max - n * Math.sqrt(squares / allowed.length));
}
