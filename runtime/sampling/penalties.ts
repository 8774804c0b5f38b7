import { largestFloat32 } from "./logit-bias.js";

/**
 * Makes tokens less likely that have been written already. Of a token that occurs `count` times among the recent ones:
 *
 *   logit <- logit / repetition if logit > 0, else logit * repetition     (Keskar et al., "CTRL", 2019)
 *   logit <- logit - count * frequency - presence                        (OpenAI's penalties)
 *
 * CTRL divides always, which would make tokens with negative logits likelier; multiplying those is what all implementations do.
 *
 *   logits  f32[vocabSize], changed in place
 *   recent  the window: ids of the vocabulary
 */
export function penalize(
  logits: Float32Array,
  recent: readonly number[],
  penalties: { readonly repetition: number; readonly frequency: number; readonly presence: number },
): void {
  const { repetition, frequency, presence } = penalties;
  const counts = new Map<number, number>();
  for (const id of recent) counts.set(id, (counts.get(id) ?? 0) + 1);
  for (const [id, count] of counts) {
    const logit = logits[id]!;
    const scaled = logit > 0 ? logit / repetition : logit * repetition;
    logits[id] = Math.min(scaled - count * frequency - presence, largestFloat32);
  }
}
