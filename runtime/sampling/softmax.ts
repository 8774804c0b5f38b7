import { expOfNegative } from "../math.js";
import { largestLogit } from "./greedy.js";

/**
 * Probabilities of the candidates at a temperature, which divides the logits:
 *
 *   p[id] = e^((logits[id] - max) / temperature) / sum over the candidates of the same
 *
 *   logits       f32[vocabSize]
 *   ids          u32[n], the candidates
 *   temperature  > 0
 *   out          f64[vocabSize], the result: p at the candidates' ids; the others are left as they are
 *
 * In float64 with our own exp, summed in the order of `ids`, so that every engine gives the same bits.
 */
export function softmax(
  logits: Float32Array,
  ids: Uint32Array,
  temperature: number,
  out: Float64Array,
): Float64Array {
  const max = largestLogit(logits, ids);
  let sum = 0;
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    const weight = expOfNegative((logits[id]! - max) / temperature);
    out[id] = weight;
    sum += weight;
  }
  for (let i = 0; i < ids.length; i++) out[ids[i]!]! /= sum;
  return out;
}
