import { exp } from "../math.js";

/**
 * Probabilities of the candidates at a temperature, in their order.
 *
 *   p[i] = e^((logits[ids[i]] - logits[ids[0]]) / temperature) / sum over j of the same
 *
 *   logits       f32[vocabSize]
 *   ids          u32[n], the largest logit first
 *   temperature  > 0
 *   out          f64[at least n], scratch: its first n elements are the result
 *
 * In float64 with our own exp, summed in order, so that every engine gives the same bits.
 */
export function softmax(
  logits: Float32Array,
  ids: Uint32Array,
  temperature: number,
  out: Float64Array,
): Float64Array {
  const probabilities = out.subarray(0, ids.length);
  const max = logits[ids[0]!]!;
  let sum = 0;
  for (let i = 0; i < ids.length; i++) {
    const weight = exp((logits[ids[i]!]! - max) / temperature);
    probabilities[i] = weight;
    sum += weight;
  }
  for (let i = 0; i < ids.length; i++) probabilities[i]! /= sum;
  return probabilities;
}
