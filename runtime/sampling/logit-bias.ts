/** The largest float32: a logit may not become Infinity, which would leave no difference to any other. */
export const largestFloat32 = 3.4028234663852886e38;

/**
 * Adds to logits: logits[id] += bias[id]. A bias of -Infinity bans a token.
 *
 *   logits  f32[vocabSize], changed in place
 */
export function addBias(logits: Float32Array, bias: ReadonlyMap<number, number>): void {
  for (const [id, amount] of bias) logits[id] = Math.min(logits[id]! + amount, largestFloat32);
}
