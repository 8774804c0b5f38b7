import { forwardAsync } from "../model/forward.js";
import { logProbabilities, type TokenLogprob } from "../sampling/log-probabilities.js";
import type { Sampler } from "../sampling/sampler.js";
import type { Pace } from "./pace.js";
import { logitsByPosition, type Past } from "./positions.js";
import { tokensToDrop } from "./tokens-to-drop.js";

/** Why a generation ended: at a token that ends texts, at a stop string, with the tokens asked for, or with the context. */
export type EndedBy = "eos" | "eot" | "bos" | "stopString" | "maxTokens" | "context";

export interface GeneratedToken {
  readonly id: number;
  /** Where they were asked for: how likely the model took it to be, and which tokens it took to be the likeliest. */
  readonly logprob?: number;
  readonly top?: readonly TokenLogprob[];
  /** So many tokens were dropped before this one was chosen, to make room; those that were kept stay in front. */
  readonly dropped?: number;
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

export interface GenerationEnd {
  readonly endedBy: EndedBy;
  /** Tokens of the prompt whose keys and values were known already. */
  readonly cachedTokens: number;
  readonly timings: TokenTimings;
}

export interface GenerateTokensOptions {
  readonly sample: Sampler;
  /** Ids at which the text ends; they are not part of it. */
  readonly stops: ReadonlyMap<number, "eos" | "eot" | "bos">;
  readonly maxTokens: number;
  /** How many of the likeliest tokens to tell with each, and its own logprob. Undefined: neither. */
  readonly logprobs?: number | undefined;
  /**
   * Goes on when the context is full: all but so many of the first tokens and the later half of the rest is dropped, and the
   * rest is computed anew at its new positions. Undefined: the text ends.
   */
  readonly keep?: number | undefined;
  readonly pace: Pace;
}

/** The model's cache, which others may have between two tokens. */
export interface PastAccess {
  /** Resolves with the cache, holding nothing but what `ids` begin with. */
  hold(ids: readonly number[]): Promise<Past>;
  /** Says that it is not used until the next hold(). */
  release(): void;
}

/**
 * Feeds the prompt, then samples a token, feeds it, and so on: yields the tokens. The last one that the context
 * has room for is yielded too, though nothing can follow it. Who takes a token answers whether the text ends with it. The prompt
 * has been checked.
 *
 * Throws NumericError when the logits are not finite, and what the pace and the access reject with.
 */
export async function* generateTokens(
  access: PastAccess,
  prompt: readonly number[],
  { sample, stops, maxTokens, logprobs, keep, pace }: GenerateTokensOptions,
): AsyncGenerator<GeneratedToken, GenerationEnd, boolean> {
  const first = await access.hold(prompt);
  const { contextLength } = first.llama.plan;
  const cachedTokens = Math.min(first.ids.length, prompt.length - 1);
  const began = performance.now();
  let logits = await logitsAfter(first, prompt, pace);
  const promptMs = performance.now() - began;

  let decodeMs = 0;
  let decodeSteps = 0;
  const end = (endedBy: EndedBy) => ({ endedBy, cachedTokens, timings: { promptMs, decodeMs, decodeSteps } });
  const tokens = [...prompt];
  let dropped = 0;
  for (let count = 0; count < maxTokens; count++) {
    const id = sample(logits, tokens);
    const stop = stops.get(id);
    if (stop) return end(stop);
    tokens.push(id);
    const likely = logprobs === undefined ? {} : logProbabilities(logits, id, logprobs);
    access.release();
    if (yield { id, ...likely, ...(dropped && { dropped }) }) return end("stopString");
    dropped = 0;
    const isFull = tokens.length > contextLength;
    if (isFull && keep === undefined) return end("context");
    if (count + 1 === maxTokens) break;
    if (isFull) {
      dropped = tokensToDrop(tokens.length, keep!, contextLength);
      tokens.splice(keep!, dropped);
    }
    const past = await access.hold(tokens);
    const stepBegan = performance.now();
    await pace.rest();
    logits = await logitsAfter(past, tokens, pace);
    decodeMs += performance.now() - stepBegan;
    decodeSteps++;
  }
  return end("maxTokens");
}

/** The logits of what follows the ids, of which as many as known are in the cache. */
async function logitsAfter(past: Past, ids: readonly number[], pace: Pace): Promise<Float32Array> {
  const position = ids.length - 1;
  if (past.ids.length === position) {
    const id = ids[position]!;
    const { llama, onLayer } = past;
    const logits = await forwardAsync(llama, [id], position, { onLayer, wait: pace.wait });
    past.ids.push(id);
    return logits;
  }
  let logits!: Float32Array;
  for await (logits of logitsByPosition(past, ids, position, pace));
  return logits;
}
