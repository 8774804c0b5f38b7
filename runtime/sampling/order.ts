import { nonFiniteLogit } from "./non-finite-logit.js";

/** What `orderByLogit` works in, made once for a vocabulary: ids, its result, and two arrays beside it. */
export interface OrderScratch {
  readonly ids: Uint32Array;
  readonly otherIds: Uint32Array;
  readonly keys: Uint32Array;
}

/**
 * All ids, best first: the higher logit, and among equal ones the lower id; the order of `topK` with k = vocabSize,
 * which a heap would take ten times as long to make.
 *
 *   logits  f32[vocabSize]
 *   scratch u32[vocabSize] each; the result is scratch.ids
 *
 * Three passes of a stable radix sort, 11 bits each, least significant first. Throws a NumericError when a logit is
 * NaN or infinite.
 */
export function orderByLogit(logits: Float32Array, scratch: OrderScratch): Uint32Array {
  const { ids, otherIds, keys } = scratch;
  const floats = new Float32Array(keys.buffer, keys.byteOffset, keys.length);
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (!Number.isFinite(logit)) throw nonFiniteLogit(id, logit);
    floats[id] = logit + 0; // -0 + 0 is 0: the two zeros are equal
    // As integers, the bits of negative floats ascend while the floats descend; those of positive ones are turned round.
    const bits = keys[id]!;
    keys[id] = bits >>> 31 ? bits : bits ^ 0x7fffffff;
    otherIds[id] = id;
  }
  distribute(keys, 0, otherIds, ids);
  distribute(keys, 11, ids, otherIds);
  distribute(keys, 22, otherIds, ids);
  return ids;
}

const starts = new Uint32Array(2048);

/** Copies ids into `to` by 11 bits of their keys from bit `shift` on, and within the same bits in the order of `from`. */
function distribute(keys: Uint32Array, shift: number, from: Uint32Array, to: Uint32Array): void {
  starts.fill(0);
  for (const key of keys) starts[(key >>> shift) & 2047]!++;
  let start = 0;
  for (let digit = 0; digit < 2048; digit++) {
    const count = starts[digit]!;
    starts[digit] = start;
    start += count;
  }
  for (const id of from) to[starts[(keys[id]! >>> shift) & 2047]!++] = id;
}
