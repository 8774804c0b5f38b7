import { NumericError } from "../errors.js";
import { exp, log } from "../math.js";
import type { Pace } from "./pace.js";
import { logitsByPosition, type Past } from "./positions.js";

/** A stretch of a text that is run through the model: bos, then the ids [begin, end - 1). */
export interface Window {
  readonly begin: number;
  readonly end: number;
  /** The ids [scoredFrom, end) are scored, each from those before it in the window. */
  readonly scoredFrom: number;
}

/**
 * Cuts a text of `count` ids into windows of `contextLength` positions, a half of it apart: the position of bos predicts the
 * first id, and so on. Every id is scored once: all of them in the first window, the new half in the others.
 */
export function windowsOf(count: number, contextLength: number): Window[] {
  const stride = Math.max(1, contextLength >> 1);
  const windows: Window[] = [];
  for (let begin = 0, scored = 0; scored < count; begin += stride) {
    const end = Math.min(begin + contextLength, count);
    windows.push({ begin, end, scoredFrom: scored });
    scored = end;
  }
  return windows;
}

/**
 * How surprised the model is by a text: the sum over its ids of -ln p(id | those before it in the window), in nats, summed in
 * float64. `onWindow` is told how many ids have been scored so far.
 */
export async function negativeLogLikelihood(
  past: Past,
  bos: number,
  ids: readonly number[],
  pace: Pace,
  onWindow: (scored: number) => void,
): Promise<number> {
  let nats = 0;
  for (const { begin, end, scoredFrom } of windowsOf(ids.length, past.llama.plan.contextLength)) {
    let next = scoredFrom;
    const input = [bos, ...ids.slice(begin, end - 1)];
    for await (const logits of logitsByPosition(past, input, scoredFrom - begin, pace)) {
      nats += surprise(logits, ids[next++]!);
    }
    onWindow(end);
  }
  return nats;
}

/** -ln softmax(logits)[id], in nats. Throws NumericError when it is no number. */
function surprise(logits: Float32Array, id: number): number {
  let max = Number.NEGATIVE_INFINITY;
  for (const logit of logits) if (logit > max) max = logit;
  let sum = 0;
  for (const logit of logits) sum += exp(logit - max);
  const nats = max + log(sum) - logits[id]!;
  if (!Number.isFinite(nats)) {
    throw new NumericError(
      `Cannot score token ${id}: expected finite logits, found ${logits[id]} and a largest of ${max}`,
    );
  }
  return nats;
}
