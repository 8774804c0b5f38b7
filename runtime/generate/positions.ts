import { ContextError } from "../errors.js";
import { forwardAsync } from "../model/forward.js";
import type { OnLayer } from "../model/layer-state.js";
import type { Llama } from "../model/llama.js";
import type { Pace } from "./pace.js";

/**
 * Throws what is wrong with ids that are to be fed from position 0 on: a TypeError when they are none, a RangeError for an id
 * outside the vocabulary, a ContextError when they are more than the context holds.
 */
export function checkIds(llama: Pick<Llama, "config" | "plan">, ids: readonly number[]): void {
  const { vocabSize } = llama.config;
  const { contextLength } = llama.plan;
  if (ids.length === 0) {
    throw new TypeError("Cannot run the prompt: expected at least one token id, found none");
  }
  if (ids.length > contextLength) {
    throw new ContextError(
      `Cannot run the prompt: expected at most ${contextLength} tokens, the context's length, found ${ids.length}`,
    );
  }
  for (const [i, id] of ids.entries()) {
    if (!Number.isInteger(id) || id < 0 || id >= vocabSize) {
      throw new RangeError(
        `Cannot run the prompt: token id ${id} (number ${i}): expected an integer from 0 to ${vocabSize - 1}`,
      );
    }
  }
}

/** What a model's cache holds: the ids whose keys and values are in it, from position 0 on. */
export interface Past {
  readonly llama: Llama;
  /** Kept true by whoever feeds the model. */
  ids: number[];
  /** Shown each layer of each pass that feeds it. */
  readonly onLayer?: OnLayer;
}

/**
 * Runs ids through the model, in chunks, and yields the logits f32[vocabSize] of each position from `from` on: those of the token
 * that follows it. With `from` at the ids' end there are none. Positions before `from` whose keys and values are in the cache
 * are not computed again; afterwards it holds those of all ids. The ids have been checked.
 */
export async function* logitsByPosition(
  past: Past,
  ids: readonly number[],
  from: number,
  pace: Pace,
): AsyncGenerator<Float32Array<ArrayBuffer>, void, undefined> {
  const { llama, onLayer } = past;
  const { vocabSize } = llama.config;
  past.ids.length = Math.min(commonLength(past.ids, ids), from);
  let msPerPosition: number | undefined;
  while (past.ids.length < ids.length) {
    await pace.rest();
    const position = past.ids.length;
    // where each pass reads weights from a disk, as many positions as can share that
    const { batch, streamedLayers } = llama.plan;
    const n = Math.min(streamedLayers ? batch : pace.chunk(msPerPosition, batch), ids.length - position);
    const began = performance.now();
    const logitsFrom = Math.min(Math.max(from - position, 0), n);
    const chunk = ids.slice(position, position + n);
    const logits = await forwardAsync(llama, chunk, position, { logitsFrom, onLayer, wait: pace.wait });
    past.ids.push(...chunk);
    msPerPosition = (performance.now() - began) / n;
    for (let i = 0; i < n - logitsFrom; i++) yield logits.subarray(i * vocabSize, (i + 1) * vocabSize);
  }
}

/** Number of ids that both begin with. */
export function commonLength(one: readonly number[], other: readonly number[]): number {
  const most = Math.min(one.length, other.length);
  let length = 0;
  while (length < most && one[length] === other[length]) length++;
  return length;
}
