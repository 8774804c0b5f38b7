/**
 * The id of the largest logit, the lowest id where several are equal.
 *
 *   logits  f32[vocabSize], no NaN; -Infinity is a banned token
 *
 * Throws a RangeError when all are banned.
 */
export function greedy(logits: Float32Array): number {
  let best = -1;
  let bestLogit = -Infinity;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (logit > bestLogit) {
      best = id;
      bestLogit = logit;
    }
  }
  if (best < 0) throw allBanned();
  return best;
}

/**
 * The largest logit of the candidates.
 *
 *   logits  f32[vocabSize]
 *   ids     u32[n]
 *
 * Throws a RangeError when all are banned, or there are none.
 */
export function largestLogit(logits: Float32Array, ids: Uint32Array): number {
  let largest = -Infinity;
  for (let i = 0; i < ids.length; i++) {
    const logit = logits[ids[i]!]!;
    if (logit > largest) largest = logit;
  }
  if (largest === -Infinity) throw allBanned();
  return largest;
}

function allBanned(): RangeError {
  return new RangeError("Cannot choose a token: expected one that may be written, found all of them banned");
}
