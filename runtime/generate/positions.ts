import { ContextError } from "../errors.js";
import { forward } from "../model/forward.js";
import type { Llama } from "../model/llama.js";
import { chunkSize, type Pace } from "./pace.js";

/**
 * Throws what is wrong with ids that are to be fed from position 0 on: a TypeError when they are none, a RangeError for an id
 * outside the vocabulary, a ContextError when they are more than the context holds.
 */
export function checkIds(llama: Llama, ids: readonly number[]): void {
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

/**
 * Runs ids through the model from position 0 on, in chunks, and yields the logits f32[vocabSize] of each position from `from`
 * on: those of the token that follows it. The ids have been checked.
 */
export async function* logitsByPosition(
  llama: Llama,
  ids: readonly number[],
  from: number,
  pace: Pace,
): AsyncGenerator<Float32Array<ArrayBuffer>, void, undefined> {
  const { vocabSize } = llama.config;
  let msPerPosition: number | undefined;
  for (let position = 0; position < ids.length; ) {
    await pace.rest();
    const n = Math.min(chunkSize(msPerPosition, llama.plan.batch), ids.length - position);
    const began = performance.now();
    const logitsFrom = Math.min(Math.max(from - position, 0), n);
    const logits = forward(llama, ids.slice(position, position + n), position, logitsFrom);
    msPerPosition = (performance.now() - began) / n;
    for (let i = 0; i < n - logitsFrom; i++) yield logits.subarray(i * vocabSize, (i + 1) * vocabSize);
    position += n;
  }
}
