import { forward } from "../model/forward.js";
import type { Llama } from "../model/llama.js";
import { logProbabilities, type TokenLogprob } from "../sampling/log-probabilities.js";
import type { Sampler } from "../sampling/sampler.js";
import type { Pace } from "./pace.js";
import { checkIds, logitsByPosition } from "./positions.js";

/** Why a generation ended: at a token that ends texts, at a stop string, with the tokens asked for, or with the context. */
export type EndedBy = "eos" | "eot" | "bos" | "stopString" | "maxTokens" | "context";

export interface GeneratedToken {
  readonly id: number;
  /** Where they were asked for: how likely the model took it to be, and which tokens it took to be the likeliest. */
  readonly logprob?: number;
  readonly top?: readonly TokenLogprob[];
}

/** How long a generation computed, without the time that its consumer took between two tokens. */
export interface TokenTimings {
  /** From the start to the first token. */
  readonly promptMs: number;
  /** In the passes after the first token. */
  readonly decodeMs: number;
  /** Passes through the model within decodeMs. */
  readonly decodeSteps: number;
}

export interface GenerateTokensOptions {
  readonly sample: Sampler;
  /** Ids at which the text ends; they are not part of it. */
  readonly stops: ReadonlyMap<number, "eos" | "eot" | "bos">;
  readonly maxTokens: number;
  /** How many of the likeliest tokens to tell with each, and its own logprob. Undefined: neither. */
  readonly logprobs?: number | undefined;
  readonly pace: Pace;
}

/**
 * Feeds the prompt from position 0 on, then samples a token, feeds it, and so on: yields the tokens. The last one that the context
 * has room for is yielded too, though nothing can follow it. Who takes a token answers whether the text ends with it.
 *
 * Throws as checkIds does, NumericError when the logits are not finite, and what the pace rejects with.
 */
export async function* generateTokens(
  llama: Llama,
  prompt: readonly number[],
  { sample, stops, maxTokens, logprobs, pace }: GenerateTokensOptions,
): AsyncGenerator<GeneratedToken, { readonly endedBy: EndedBy; readonly timings: TokenTimings }, boolean> {
  checkIds(llama, prompt);
  const { contextLength } = llama.plan;
  const began = performance.now();
  let logits: Float32Array | undefined;
  for await (logits of logitsByPosition(llama, prompt, prompt.length - 1, pace));
  const promptMs = performance.now() - began;

  let decodeMs = 0;
  let decodeSteps = 0;
  const end = (endedBy: EndedBy) => ({ endedBy, timings: { promptMs, decodeMs, decodeSteps } });
  const tokens = [...prompt];
  for (let count = 0; count < maxTokens; count++) {
    const id = sample(logits!, tokens);
    const stop = stops.get(id);
    if (stop) return end(stop);
    tokens.push(id);
    const told = logprobs === undefined ? {} : logProbabilities(logits!, id, logprobs);
    if (yield { id, ...told }) return end("stopString");
    const position = prompt.length + count;
    if (position === contextLength) return end("context");
    if (count + 1 === maxTokens) break;
    const stepBegan = performance.now();
    await pace.rest();
    logits = forward(llama, [id], position);
    decodeMs += performance.now() - stepBegan;
    decodeSteps++;
  }
  return end("maxTokens");
}
