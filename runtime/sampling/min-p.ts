import { log } from "../math.js";
import { withAtLeast } from "./candidates.js";
import { largestLogit } from "./greedy.js";

/**
 * The candidates that are at least p times as probable as the likeliest, at temperature 1 (Nguyen et al., "Turning Up the Heat:
 * Min-p Sampling for Creative and Coherent LLM Outputs", 2024), in their order:
 *
 *   logits[id] >= max + ln p
 *
 *   logits  f32[vocabSize]
 *   ids     u32[n], the candidates
 *   p       0..1
 */
export function minP(logits: Float32Array, ids: Uint32Array, p: number): Uint32Array {
  return withAtLeast(logits, ids, largestLogit(logits, ids) + log(p));
}
