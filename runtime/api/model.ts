import type { Tokenizer } from "../../tokenizer/index.js";
import type { ChatMessage } from "../chat/messages.js";
import { checkCount, checkNames, checkOption } from "../check-options.js";
import { ModelError } from "../errors.js";
import type { ModelConfig } from "../formats/checkpoint.js";
import { type GenerateTokensOptions, generateTokens } from "../generate/generate-tokens.js";
import { createPace, type Pace } from "../generate/pace.js";
import { negativeLogLikelihood } from "../generate/perplexity.js";
import { checkIds, logitsByPosition } from "../generate/positions.js";
import { createStopMatcher } from "../generate/stop-strings.js";
import { createTurns } from "../generate/turns.js";
import { exp } from "../math.js";
import type { Build } from "../memory/choose-build.js";
import type { CacheType } from "../memory/kv-cache.js";
import { packedTypes } from "../memory/plan.js";
import type { Llama } from "../model/llama.js";
import { checkFinite } from "../sampling/check-finite.js";
import { type SamplerOptions, samplerOptionNames } from "../sampling/options.js";
import { createSampler } from "../sampling/sampler.js";
import {
  type Chat,
  type ChatModel,
  type ChatOptions,
  createChat,
  type RenderChatOptions,
  renderChat,
} from "./chat.js";
import { type ChatEncoder, createChatEncoder } from "./chat-encoder.js";
import {
  createGeneration,
  type Generation,
  type GenerationResult,
  generationResult,
  type Part,
} from "./generation.js";

export interface GenerateOptions extends SamplerOptions {
  /** Most tokens to generate. Default: as many as the context holds. */
  readonly maxTokens?: number | undefined;
  /**
   * Texts at which the generation ends, also when several tokens make one up. Neither such a text nor a part of it is shown: text
   * is held back as long as one may begin with it.
   */
  readonly stop?: string | readonly string[] | undefined;
  /** Tells with each part how likely its token was, and so many of the likeliest tokens, 0 or more. Default: neither. */
  readonly logprobs?: number | undefined;
  /** An integer from 0 to 2^53 - 1: the same seed gives the same text, on every machine. Default: a random one, told in the result. */
  readonly seed?: number | undefined;
  /** Ends the generation within a step; the iteration rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
}

export interface LogitsOptions {
  /** Number of the first id whose logits are wanted. Default: the last one. */
  readonly from?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface PerplexityOptions {
  /** Told after each window how many of the text's tokens have been scored. */
  readonly onProgress?: ((progress: { readonly loaded: number; readonly total: number }) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How well a model predicts a text: the lower, the better. */
export interface Perplexity {
  /** Of the text's UTF-8 bytes: comparable between models with different vocabularies. */
  readonly bitsPerByte: number;
  /** e to the mean surprise of a token, in nats: comparable between models with the same vocabulary. */
  readonly perplexity: number;
  readonly tokens: number;
  readonly bytes: number;
}

/**
 * A loaded model. Several generations may be under way: they take turns, one text after the other, in the order in which they
 * were begun. So one must not be awaited within the loop over another of the same model: it waits for that loop to end.
 */
export interface Model {
  readonly config: ModelConfig;
  /** Positions that one text may have, prompt included. */
  readonly contextLength: number;
  /** The kernels in use; the results are the same bits in every build. */
  readonly build: Build;
  /** Threads that compute, the caller's among them. */
  readonly threads: number;
  /** The types that the matrices are packed to, those with the most bytes first: "q4_0+q6_k". */
  readonly layout: string;
  /** How keys and values are kept. */
  readonly cacheType: CacheType;
  /** Throws a ModelError where the model's vocabulary makes no tokenizer, or it has none. */
  readonly tokenizer: Tokenizer;
  /**
   * The ids that generate() feeds for a text: a beginning-of-text id first, unless the model's file says otherwise.
   * Throws a ModelError where there is no tokenizer.
   */
  tokenize(text: string): number[];
  /**
   * Continues a prompt: a text, or ids that are fed as they are. The iteration throws a ContextError when the prompt is longer than the
   * context, RangeError for ids outside the vocabulary, NumericError when the model computes no numbers; wrong options are a
   * TypeError at once, and stop strings without a tokenizer a ModelError.
   */
  generate(prompt: string | readonly number[], options?: GenerateOptions): Generation;
  /**
   * The ids that a conversation is fed as: whatever a message says, only the format's own markers become control tokens. Rejects
   * with a TypeError for what is no message, a ChatError for messages that the format has no way to write and a template that
   * fails, a ModelError where there is no tokenizer.
   */
  renderChat(messages: readonly ChatMessage[], options?: RenderChatOptions): Promise<number[]>;
  /** Begins a conversation. Throws a TypeError for wrong options, a ModelError where there is no tokenizer. */
  chat(options?: ChatOptions): Chat;
  /** Logits f32[vocabSize] of one position after the other: those of the token that follows it. Errors as in generate. */
  logits(
    prompt: string | readonly number[],
    options?: LogitsOptions,
  ): AsyncGenerator<Float32Array, void, undefined>;
  /**
   * Scores a text. It is cut into windows of the context's length, half of it apart, each with bos in front; in the first all
   * tokens are scored, in the others the new half. Throws a ModelError without a tokenizer or a bos id, a TypeError for an
   * empty text, and what generate throws.
   */
  perplexity(text: string | Uint8Array, options?: PerplexityOptions): Promise<Perplexity>;
  /** Frees the memory. What is under way rejects at its next step, what waits for its turn at once. */
  dispose(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface ModelParts {
  readonly llama: Llama;
  /** The tokenizer, or throws why there is none. */
  readonly tokenizer: () => Tokenizer;
  /** Ids that begin and end texts. */
  readonly special: { readonly bos?: number; readonly eos?: number; readonly eot?: number };
  /** Whether a text is preceded by bos. */
  readonly addBos: boolean;
  /** Names of the vocabulary's user-defined tokens. */
  readonly userDefined: readonly string[];
  /** How the model's file says that conversations are written. */
  readonly chatTemplate: string | undefined;
}

interface WriteOptions extends Pick<GenerateTokensOptions, "sample" | "maxTokens" | "logprobs"> {
  readonly stop: readonly string[];
  readonly seed: number;
}

export function createModel({
  llama: loaded,
  tokenizer,
  special,
  addBos,
  userDefined,
  chatTemplate,
}: ModelParts): Model {
  let llama: Llama | undefined = loaded;
  const { config, build, threads } = loaded;
  const { contextLength } = loaded.plan;
  const turns = createTurns();
  const disposal = new AbortController();

  const stops = new Map<number, "eos" | "eot" | "bos">();
  for (const kind of ["bos", "eot", "eos"] as const) {
    const id = special[kind];
    if (id !== undefined) stops.set(id, kind);
  }

  function alive(doing: string): Llama {
    if (!llama) throw new Error(`Cannot ${doing}: the model has been disposed of`);
    return llama;
  }

  function tokenize(text: string): number[] {
    const ids = tokenizer().encode(text);
    const { bos } = special;
    // a model that wants no bos in front of a text still needs something to begin an empty one with
    return bos !== undefined && (addBos || ids.length === 0) ? [bos, ...ids] : ids;
  }

  const idsOf = (prompt: string | readonly number[]) =>
    typeof prompt === "string" ? tokenize(prompt) : prompt;

  const texts = new Map<number, string>();

  /** The text of a token within a text; empty without a tokenizer. */
  function textOf(id: number): string {
    let text = texts.get(id);
    if (text === undefined) {
      try {
        text = tokenizer().decode([id], { continues: true });
      } catch {
        text = "";
      }
      texts.set(id, text);
    }
    return text;
  }

  /** Text of the continuation: what decoding it adds to the decoded prompt. Without a tokenizer there is none. */
  function continuation(prompt: readonly number[]): { push(id: number): string; end(): string } {
    let decoder: ReturnType<Tokenizer["decoder"]>;
    try {
      decoder = tokenizer().decoder();
    } catch {
      return { push: () => "", end: () => "" };
    }
    for (const id of prompt) decoder.push(id);
    return decoder;
  }

  /**
   * Computes when its turn comes. The turn ends with the computation, and on an abort or the disposal at once, though the consumer
   * may be pausing: the pace then rejects before anything else is computed.
   */
  async function* inTurn<T, R>(
    doing: string,
    signal: AbortSignal | undefined,
    compute: (engine: Llama, pace: Pace) => AsyncGenerator<T, R, undefined>,
  ): AsyncGenerator<T, R, undefined> {
    const end = await turns.take(signal);
    try {
      return yield* compute(alive(doing), createPace([signal, disposal.signal]));
    } finally {
      end();
    }
  }

  async function* write(
    engine: Llama,
    pace: Pace,
    prompt: () => readonly number[] | Promise<readonly number[]>,
    { stop, seed, ...options }: WriteOptions,
  ): AsyncGenerator<Part, GenerationResult, undefined> {
    const promptTokens = await prompt();
    checkIds(engine, promptTokens);
    const decoder = continuation(promptTokens);
    const matcher = createStopMatcher(stop);
    const steps = generateTokens(engine, promptTokens, { ...options, stops, pace });
    const tokens: number[] = [];
    let text = "";
    for (;;) {
      const step = await steps.next(matcher.found !== undefined);
      if (step.done) {
        const rest = tokens.length ? matcher.push(decoder.end()) + matcher.end() : "";
        if (rest) yield { text: rest, token: tokens.at(-1)! };
        const { timings } = step.value;
        const stopString = matcher.found;
        const endedBy = stopString === undefined ? step.value.endedBy : "stopString";
        const told = { text: text + rest, tokens, promptTokens, endedBy, stopString, seed } as const;
        return generationResult(told, timings);
      }
      const { id, ...logprobs } = step.value;
      const part = { text: matcher.push(decoder.push(id)), token: id, ...logprobs };
      tokens.push(id);
      text += part.text;
      yield part;
    }
  }

  /** Checks the options, and makes the generation that begins with the prompt's ids, made when its turn comes. */
  function start(
    prompt: () => readonly number[] | Promise<readonly number[]>,
    options: GenerateOptions,
  ): Generation {
    checkNames("generate", options, ["maxTokens", "stop", "logprobs", ...samplerOptionNames, "signal"]);
    const { maxTokens, logprobs, signal, seed = randomSeed(), stop: _, ...sampling } = options;
    checkCount("generate", "maxTokens", maxTokens, 0);
    checkCount("generate", "logprobs", logprobs, 0);
    const stop = checkedStops(options.stop);
    if (stop.length > 0) tokenizer(); // without text there is nothing to stop at
    const sample = createSampler({ ...sampling, seed }, { vocabSize: config.vocabSize, textOf });
    alive("generate");
    const how = { sample, maxTokens: maxTokens ?? Number.POSITIVE_INFINITY, stop, logprobs, seed };
    return createGeneration(() =>
      inTurn("generate", signal, (engine, pace) => write(engine, pace, prompt, how)),
    );
  }

  let encoder: ChatEncoder | undefined;
  const chatModel: ChatModel = {
    encoder() {
      encoder ??= createChatEncoder(tokenizer(), userDefined);
      return encoder;
    },
    bosInFront: addBos ? special.bos : undefined,
    template: chatTemplate,
    start,
  };

  let disposed: Promise<void> | undefined;
  const dispose = () => {
    disposed ??= end();
    return disposed;
  };
  const end = async () => {
    const engine = llama!;
    llama = undefined;
    const reason = new Error("Cannot go on: the model has been disposed of");
    disposal.abort(reason);
    turns.close(reason);
    await engine.dispose();
  };

  return {
    config,
    contextLength,
    build,
    threads,
    layout: packedTypes(loaded.plan).join("+"),
    cacheType: loaded.plan.cacheType,
    get tokenizer() {
      return tokenizer();
    },
    tokenize,
    generate(prompt, options = {}) {
      const own = copied(prompt);
      return start(() => idsOf(own), options);
    },
    renderChat: async (messages, options) => renderChat(chatModel, messages, options),
    chat: (options) => createChat(chatModel, options),
    logits(prompt, options = {}) {
      checkNames("compute logits", options, ["from", "signal"]);
      checkCount("compute logits", "from", options.from, 0);
      alive("compute logits");
      const own = copied(prompt);
      return inTurn("compute logits", options.signal, (engine, pace) => {
        const ids = idsOf(own);
        checkIds(engine, ids);
        const from = options.from ?? ids.length - 1;
        if (from >= ids.length) {
          throw new RangeError(
            `Cannot compute logits: expected from to be below ${ids.length}, the number of tokens, found ${from}`,
          );
        }
        return finite(logitsByPosition(engine, ids, from, pace));
      });
    },
    async perplexity(text, options = {}) {
      checkNames("measure perplexity", options, ["onProgress", "signal"]);
      const { onProgress, signal } = options;
      if (typeof text !== "string" && !(text instanceof Uint8Array)) {
        throw new TypeError(
          `Cannot measure perplexity: expected a text or its UTF-8 bytes, found ${typeof text}`,
        );
      }
      const { bos } = special;
      if (bos === undefined)
        throw new ModelError("Cannot measure perplexity: expected a model with a bos id, it has none");
      const end = await turns.take(signal);
      try {
        const engine = alive("measure perplexity");
        const ids = tokenizer().encode(text);
        const bytes = typeof text === "string" ? new TextEncoder().encode(text).length : text.length;
        if (ids.length === 0)
          throw new TypeError("Cannot measure perplexity: expected a text, found an empty one");
        const pace = createPace([signal, disposal.signal]);
        const nats = await negativeLogLikelihood(engine, bos, ids, pace, (loaded) => {
          onProgress?.({ loaded, total: ids.length });
        });
        return {
          bitsPerByte: nats / Math.LN2 / bytes,
          perplexity: exp(nats / ids.length),
          tokens: ids.length,
          bytes,
        };
      } finally {
        end();
      }
    },
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}

/** The prompt as it is now: the caller may change an array while the text is being written. */
function copied(prompt: string | readonly number[]): string | readonly number[] {
  if (typeof prompt === "string") return prompt;
  if (Array.isArray(prompt) || ArrayBuffer.isView(prompt)) return Array.from(prompt as readonly number[]);
  throw new TypeError(
    `Cannot take a prompt: expected a text or an array of token ids, found ${String(prompt)}`,
  );
}

function checkedStops(stop: string | readonly string[] | undefined): readonly string[] {
  const stops = typeof stop === "string" ? [stop] : (stop ?? []);
  // a lone surrogate would cut a character in two
  const isStop = (text: unknown) => typeof text === "string" && text !== "" && !/\p{Surrogate}/u.test(text);
  const areStops = Array.isArray(stops) && stops.every(isStop);
  checkOption("generate", "stop", stop, "a text that is not empty, or an array of such", areStops);
  return [...stops];
}

/** Logits that are all numbers, or a NumericError. */
async function* finite(
  rows: AsyncGenerator<Float32Array, void, undefined>,
): AsyncGenerator<Float32Array, void, undefined> {
  for await (const logits of rows) {
    checkFinite(logits);
    yield logits;
  }
}

/** 32 random bits: short enough to be read out and typed again. */
function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}
