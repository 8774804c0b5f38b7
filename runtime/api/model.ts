import type { Tokenizer } from "../../tokenizer/index.js";
import type { ChatMessage } from "../chat/messages.js";
import { checkCount, checkNames, checkOption } from "../check-options.js";
import type { CallOptions, Engine, EngineFacts, HookOptions, Owner } from "../engine/engine.js";
import type { ModelData } from "../engine/open-model.js";
import { ContextError, ModelError } from "../errors.js";
import type { ModelConfig } from "../formats/checkpoint.js";
import { createStopMatcher } from "../generate/stop-strings.js";
import { exp } from "../math.js";
import type { Build, CacheType } from "../memory/choices.js";
import type { OnLayer } from "../model/layer-state.js";
import { checkedSamplerOptions, type SamplerOptions, samplerOptionNames } from "../sampling/options.js";
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
import { copied } from "./prompt.js";
import { createSession, type Session, type SessionCallOptions, type SessionModel } from "./session.js";

/** How a text is continued: how its tokens are chosen, when it ends, and what is told of it. */
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
  /**
   * What happens when the context is full. "stop": the text ends, with the finishReason "length". "error": it throws a ContextError.
   * "shift": it goes on without the older half of the tokens, but for the first `keep`; the rest is computed anew, which
   * takes a while, and the model no longer knows what was dropped. Default "stop". A prompt that is too long is an error in any case.
   */
  readonly contextFull?: "stop" | "error" | "shift" | undefined;
  /** With contextFull "shift": so many of the first tokens stay, fewer than the context has. Default 1, the beginning of the text. */
  readonly keep?: number | undefined;
  /**
   * Shown the residual stream after each layer of each pass, and may change it. The prompt comes in chunks of some tokens, of no certain size;
   * then every token on its own, but the last one, which nothing follows. All of the text is computed for it, also what is known already, and
   * again where another call has had the model in between. What it throws ends the generation. With loadInThread() only. Default: none, at no cost.
   */
  readonly onLayer?: OnLayer | undefined;
  /** Ends the generation within a step; the iteration rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Which logits are wanted. */
export interface LogitsOptions {
  /** Number of the first id whose logits are wanted. Default: the last one. */
  readonly from?: number | undefined;
  /** Shown the residual stream after each layer, chunk after chunk of the prompt, and may change it: as of generate. Default: none. */
  readonly onLayer?: OnLayer | undefined;
  /** Ends the computation within a step; the iteration rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** What goes on beside the scoring of a text. */
export interface PerplexityOptions {
  /** Told after each window how many of the text's tokens have been scored. */
  readonly onProgress?:
    | ((progress: {
        /** Tokens scored so far. */
        readonly loaded: number;
        /** Tokens of the text. */
        readonly total: number;
      }) => void)
    | undefined;
  /** Ends the scoring within a step; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** How well a model predicts a text: the lower, the better. */
export interface Perplexity {
  /** Of the text's UTF-8 bytes: comparable between models with different vocabularies. */
  readonly bitsPerByte: number;
  /** e to the mean surprise of a token, in nats: comparable between models with the same vocabulary. */
  readonly perplexity: number;
  /** Tokens of the text, bos not counted. */
  readonly tokens: number;
  /** Bytes of the text in UTF-8. */
  readonly bytes: number;
}

/**
 * A loaded model. Several generations, sessions and chats may be under way: one computes at a time, in the order in which they were
 * begun, and one whose reader pauses gives way to those that wait. What is known of a text's beginning is not computed again.
 */
export interface Model extends EngineFacts {
  /** The model's sizes. */
  readonly config: ModelConfig;
  /** Positions that one text may have, prompt included. */
  readonly contextLength: number;
  /** The kernels in use; the results are the same bits in every build. */
  readonly build: Build;
  /** Threads that compute. */
  readonly threads: number;
  /** The types that the matrices are packed to, those with the most bytes first: "q4_0+q6_k". */
  readonly layout: string;
  /** How keys and values are kept. */
  readonly cacheType: CacheType;
  /** Whether it computes on the caller's own thread: loaded with loadInThread(), or where workers are refused. */
  readonly inThread: boolean;
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
  /** Begins a text that one comes back to. */
  session(): Session;
  /**
   * A session as it was saved. Rejects with a SnapshotError for bytes that are no snapshot, a damaged one, or one of another model,
   * other weights, another type of cache or a longer context.
   */
  restore(snapshot: Uint8Array, options?: SessionCallOptions): Promise<Session>;
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
  /** dispose(), for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

export interface ModelParts {
  readonly engine: Engine;
  readonly inThread: boolean;
  readonly data: ModelData;
  /** The tokenizer, or throws why there is none. */
  readonly tokenizer: () => Tokenizer;
}

/** Where the ids of a generation come from, and who is told which there are. */
export interface Writing {
  /** The prompt's ids, asked for when the generation begins. */
  prompt(): readonly number[] | Promise<readonly number[]>;
  readonly owner?: Owner;
  /** Told of each token, and of those that were dropped before it was chosen. */
  onToken?(id: number, dropped: number): void;
}

export function createModel({ engine, inThread, data, tokenizer }: ModelParts): Model {
  const { facts } = engine;
  const { vocabSize } = facts.config;
  const { special, addBos, userDefined, chatTemplate } = data;
  let disposed: Promise<void> | undefined;

  function alive(doing: string): Engine {
    if (disposed) throw new Error(`Cannot ${doing}: the model has been disposed of`);
    return engine;
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

  async function* write(
    { prompt, owner, onToken }: Writing,
    { stop, contextFull, seed, ...options }: ReturnType<typeof checked>,
  ): AsyncGenerator<Part, GenerationResult, undefined> {
    const promptTokens = await prompt();
    const steps = alive("generate").generate(promptTokens, { ...options, owner, textOf });
    const matcher = createStopMatcher(stop);
    let decoder: ReturnType<typeof continuation> | undefined;
    const tokens: number[] = [];
    let text = "";
    try {
      for (;;) {
        const step = await steps.next(matcher.found !== undefined);
        // only now: the ids are known to be right
        decoder ??= continuation(promptTokens);
        if (step.done) {
          const rest = tokens.length ? matcher.push(decoder.end()) + matcher.end() : "";
          if (rest) yield { text: rest, token: tokens.at(-1)! };
          const { timings, cachedTokens } = step.value;
          const stopString = matcher.found;
          const endedBy = stopString === undefined ? step.value.endedBy : "stopString";
          if (endedBy === "context" && contextFull === "error") {
            throw new ContextError(
              `Cannot go on: the context of ${facts.contextLength} tokens is full, after ${promptTokens.length} of the prompt and ${tokens.length} written`,
            );
          }
          const told = { text: text + rest, tokens, promptTokens, endedBy, stopString, seed } as const;
          return generationResult(told, timings, cachedTokens);
        }
        const { id, dropped = 0, ...logprobs } = step.value;
        const part = { text: matcher.push(decoder.push(id)), token: id, ...logprobs };
        tokens.push(id);
        text += part.text;
        onToken?.(id, dropped);
        yield part;
      }
    } finally {
      await steps.return(undefined as never); // when it is left early; else it has ended
    }
  }

  /** The options as the engine takes them, or throws what is wrong with one. */
  function checked(options: GenerateOptions) {
    const own = [
      "maxTokens",
      "stop",
      "logprobs",
      "contextFull",
      "keep",
      ...samplerOptionNames,
      "onLayer",
      "signal",
    ];
    checkNames("generate", options, own);
    const { maxTokens, logprobs, onLayer, signal, seed = randomSeed(), stop: _, ...rest } = options;
    const { contextFull = "stop", keep = 1, ...asked } = rest;
    checkCount("generate", "maxTokens", maxTokens, 0);
    checkCount("generate", "logprobs", logprobs, 0);
    const isPolicy = contextFull === "stop" || contextFull === "error" || contextFull === "shift";
    checkOption("generate", "contextFull", contextFull, "stop, error or shift", isPolicy);
    checkCount("generate", "keep", keep, 0);
    checkHook("generate", onLayer);
    if (keep >= facts.contextLength) {
      throw new RangeError(
        `Cannot generate: expected keep to be below ${facts.contextLength}, the context's length, found ${keep}`,
      );
    }
    const stop = checkedStops(options.stop);
    if (stop.length > 0) tokenizer(); // without text there is nothing to stop at
    const sampling = { ...asked, seed };
    checkedSamplerOptions(sampling, vocabSize);
    if (sampling.sampler && !inThread) {
      throw new TypeError(
        "Cannot generate: expected no sampler of one's own, which computes on the caller's thread; load the model with loadInThread()",
      );
    }
    return {
      stop,
      seed,
      onLayer,
      signal,
      sampling,
      maxTokens: maxTokens ?? Number.POSITIVE_INFINITY,
      logprobs,
      contextFull,
      keep: contextFull === "shift" ? keep : undefined,
    };
  }

  function checkHook(doing: string, onLayer: unknown): void {
    if (onLayer === undefined) return;
    checkOption(doing, "onLayer", onLayer, "a function", typeof onLayer === "function");
    if (inThread) return;
    throw new TypeError(
      `Cannot ${doing}: expected no onLayer, which computes on the caller's thread; load the model with loadInThread()`,
    );
  }

  /** Checks the options, and gives what makes the generation. */
  function start(options: GenerateOptions): (writing: Writing) => Generation {
    const how = checked(options);
    alive("generate");
    return (writing) => createGeneration(() => write(writing, how));
  }

  let lastOwner = 0;
  const owners = new FinalizationRegistry<number>((owner) => {
    if (!disposed) engine.close(owner);
  });
  function openOwner(): number {
    alive("begin a session").open(++lastOwner);
    return lastOwner;
  }

  /** The ids that a text adds to others. */
  function continued(prompt: string | readonly number[], isFirst: boolean): readonly number[] {
    if (typeof prompt !== "string" || isFirst) return idsOf(prompt);
    return tokenizer().encode(prompt, { continues: true });
  }

  const sessionModel: SessionModel = {
    engine: alive,
    contextLength: facts.contextLength,
    start,
    idsOf: (prompt, isFirst) => continued(copied(prompt), isFirst),
    open(tokens, owner = openOwner()) {
      const session = createSession(sessionModel, owner, tokens);
      owners.register(session, owner);
      return session;
    },
  };

  let encoder: ChatEncoder | undefined;
  const chatModel: ChatModel = {
    encoder() {
      encoder ??= createChatEncoder(tokenizer(), userDefined);
      return encoder;
    },
    bosInFront: addBos ? special.bos : undefined,
    template: chatTemplate,
    contextLength: facts.contextLength,
    start,
  };

  async function dispose(): Promise<void> {
    disposed ??= engine.dispose();
    return disposed;
  }

  return {
    ...facts,
    inThread,
    get tokenizer() {
      return tokenizer();
    },
    tokenize,
    generate(prompt, options = {}) {
      const own = copied(prompt);
      return start(options)({ prompt: () => idsOf(own) });
    },
    session: () => sessionModel.open([]),
    async restore(snapshot, options = {}) {
      checkNames("restore a session", options, ["signal"]);
      const isBytes = snapshot instanceof Uint8Array;
      checkOption("restore a session", "the snapshot", snapshot, "bytes that save() made", isBytes);
      alive("restore a session");
      const owner = ++lastOwner;
      try {
        return sessionModel.open(await engine.restore(owner, snapshot, options), owner);
      } catch (error) {
        if (!disposed) engine.close(owner); // an abort may come when the engine has done it already
        throw error;
      }
    },
    renderChat: async (messages, options) => renderChat(chatModel, messages, options),
    chat(options) {
      const owner = openOwner();
      const chat = createChat(chatModel, owner, options);
      owners.register(chat, owner);
      return chat;
    },
    logits(prompt, options = {}) {
      checkNames("compute logits", options, ["from", "onLayer", "signal"]);
      checkCount("compute logits", "from", options.from, 0);
      checkHook("compute logits", options.onLayer);
      alive("compute logits");
      const own = copied(prompt);
      return logitsFrom(() => idsOf(own), options);
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
      alive("measure perplexity");
      const ids = tokenizer().encode(text);
      const bytes = typeof text === "string" ? new TextEncoder().encode(text).length : text.length;
      if (ids.length === 0)
        throw new TypeError("Cannot measure perplexity: expected a text, found an empty one");
      const nats = await engine.surprise(bos, ids, {
        signal,
        onProgress: (loaded) => onProgress?.({ loaded, total: ids.length }),
      });
      return {
        bitsPerByte: nats / Math.LN2 / bytes,
        perplexity: exp(nats / ids.length),
        tokens: ids.length,
        bytes,
      };
    },
    dispose,
    [Symbol.asyncDispose]: dispose,
  };

  async function* logitsFrom(
    prompt: () => readonly number[],
    { from, onLayer, signal }: LogitsOptions,
  ): AsyncGenerator<Float32Array, void, undefined> {
    const ids = prompt();
    if (from !== undefined && from >= ids.length) {
      throw new RangeError(
        `Cannot compute logits: expected from to be below ${ids.length}, the number of tokens, found ${from}`,
      );
    }
    const call: CallOptions & HookOptions = { onLayer, signal };
    yield* alive("compute logits").logits(ids, { ...call, from: from ?? Math.max(0, ids.length - 1) });
  }
}

function checkedStops(stop: string | readonly string[] | undefined): readonly string[] {
  const stops = typeof stop === "string" ? [stop] : (stop ?? []);
  // a lone surrogate would cut a character in two
  const isStop = (text: unknown) => typeof text === "string" && text !== "" && !/\p{Surrogate}/u.test(text);
  const areStops = Array.isArray(stops) && stops.every(isStop);
  checkOption("generate", "stop", stop, "a text that is not empty, or an array of such", areStops);
  return [...stops];
}

/** 32 random bits: short enough to be read out and typed again. */
function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}
