import { openTokenizer, type Tokenizer } from "../../tokenizer/index.js";
import { checkCount, checkNames } from "../check-options.js";
import { ModelError } from "../errors.js";
import type { Checkpoint, Vocabulary } from "../formats/checkpoint.js";
import { openCheckpoint } from "../formats/open.js";
import { quantizedCheckpoint } from "../formats/requantize.js";
import type { Source } from "../formats/source.js";
import { type Build, builds } from "../memory/choose-build.js";
import { type CacheType, cacheTypes } from "../memory/kv-cache.js";
import { type Llama, loadLlama } from "../model/llama.js";
import type { Progress } from "../model/weights.js";
import { createModel, type Model } from "./model.js";
import { fitting, readTokenizer, tokenizerBeside } from "./open-model-tokenizer.js";
import { openSource, type SourceLike } from "./sources.js";
import { checkThreads, threadsFor } from "./threads.js";

export interface LoadOptions {
  /** Positions that a text may have, prompt included. Default: the model's own context, 4096 at most. */
  readonly contextLength?: number | undefined;
  /**
   * How keys and values are kept. Default f16, half of f32's memory and time; q8_0 takes a bit more than half of f16's memory. Texts differ a
   * little between the types, as the rounding does.
   */
  readonly cacheType?: CacheType | undefined;
  /**
   * Threads to compute with, 1 to 64; results don't depend on it. Default: one for each core, 16 at most; one for models so small that more
   * would not pay, and where the engine refuses to start threads. Pages that are not cross-origin isolated have no shared memory, and compute with one whatever is asked for.
   */
  readonly threads?: number | undefined;
  /**
   * A SentencePiece model, a tokenizer.json, a llama2.c tokenizer.bin or a GGUF, for models that carry no vocabulary. Default: the model's own; for
   * a llama2.c checkpoint or a folder in Hugging Face's or Meta's form, the tokenizer.bin, tokenizer.model or tokenizer.json beside it.
   */
  readonly tokenizer?: SourceLike | undefined;
  /**
   * Quantizes matrices of F32, F16 and BF16 while they are read: less memory, and faster. What `convert` writes in that type gives the
   * same logits. Default: weights stay what they are.
   */
  readonly quantize?: "q8_0" | "q4_0" | undefined;
  /** The kernels to use. Default: the fastest that the engine runs exactly. */
  readonly build?: Build | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** Ends the loading; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const optionNames = [
  "contextLength",
  "cacheType",
  "threads",
  "tokenizer",
  "quantize",
  "build",
  "onProgress",
  "signal",
] as const satisfies readonly (keyof LoadOptions)[];

/** The longest context that is reserved without being asked for: Llama 2's own. */
const DEFAULT_CONTEXT = 4096;

/**
 * Opens a model, a GGUF (also the first of several parts), a folder in Hugging Face's or Meta's form, or a llama2.c checkpoint, and
 * loads its weights; without a source, those of the bundled model, "tiny".
 *
 * Throws TypeError or RangeError for wrong options, FormatError for bytes that are no model or a damaged one, UnsupportedError for
 * what this version cannot run, ModelError for a model that contradicts itself, NumericError for weights that are no numbers,
 * OutOfMemoryError when the plan does not fit, ThreadError when the threads that were asked for can't start, the system's error when a file cannot be opened, and the signal's reason. Nothing of
 * a model that failed to load stays in memory.
 */
export async function load(from: SourceLike = "tiny", options: LoadOptions = {}): Promise<Model> {
  checkNames("load", options, optionNames);
  checkCount("load", "contextLength", options.contextLength, 1);
  checkThreads(options.threads);
  const { cacheType, build, onProgress, signal } = options;
  if (cacheType !== undefined && !cacheTypes.includes(cacheType)) {
    throw new TypeError(`Cannot load: expected cacheType to be f32, f16 or q8_0, found ${String(cacheType)}`);
  }
  if (build !== undefined && !builds.includes(build)) {
    throw new TypeError(
      `Cannot load: expected build to be one of ${builds.join(", ")}, found ${String(build)}`,
    );
  }
  const { quantize } = options;
  if (quantize !== undefined && quantize !== "q8_0" && quantize !== "q4_0") {
    throw new TypeError(`Cannot load: expected quantize to be q8_0 or q4_0, found ${String(quantize)}`);
  }
  signal?.throwIfAborted();

  const source = await openSource(from);
  let llama: Llama | undefined;
  try {
    const stored = await openCheckpoint(source);
    const checkpoint = quantize ? quantizedCheckpoint(stored, quantize) : stored;
    const contextLength = chooseContext(checkpoint, options.contextLength);
    const tokenizer = await findTokenizer(checkpoint, source, options.tokenizer);
    const threads = threadsFor(checkpoint, options.threads);
    llama = await loadLlama(checkpoint, {
      contextLength,
      cacheType,
      threads,
      threadsOptional: options.threads === undefined,
      build,
      onProgress,
      signal,
    });
    return createModel({
      llama,
      tokenizer,
      special: checkpoint.special,
      addBos: checkpoint.vocabulary?.addBos ?? true,
      userDefined: userDefinedTokens(checkpoint.vocabulary),
      chatTemplate: chatTemplateOf(checkpoint.metadata),
    });
  } catch (error) {
    await llama?.dispose();
    throw error;
  } finally {
    await source.close().catch(() => {}); // nothing is read from it any more, so nothing is lost
  }
}

function userDefinedTokens(vocabulary: Vocabulary | undefined): string[] {
  const userDefined = 4; // SentencePiece's piece type
  return vocabulary?.tokens.filter((_, id) => vocabulary.types?.[id] === userDefined) ?? [];
}

function chatTemplateOf(metadata: Checkpoint["metadata"]): string | undefined {
  const template = metadata.get("tokenizer.chat_template");
  return typeof template === "string" ? template : undefined;
}

function chooseContext({ config, source }: Checkpoint, asked: number | undefined): number {
  if (asked === undefined) return Math.min(config.contextLength, DEFAULT_CONTEXT);
  if (asked > config.contextLength) {
    throw new RangeError(
      `Cannot load ${source.name}: expected a contextLength of at most ${config.contextLength}, which the model was trained on, found ${asked}`,
    );
  }
  return asked;
}

/** A function that returns the model's tokenizer or throws why it has none: that is an error only once text is needed. */
async function findTokenizer(
  checkpoint: Checkpoint,
  model: Source,
  asked: SourceLike | undefined,
): Promise<() => Tokenizer> {
  const { vocabulary, source, config } = checkpoint;
  // asked for by name, it has to be right at once
  if (asked !== undefined) {
    const file = await openSource(asked);
    try {
      const tokenizer = fitting(await readTokenizer(file), file.name, checkpoint);
      return () => tokenizer;
    } finally {
      await file.close();
    }
  }

  try {
    if (vocabulary) {
      const tokenizer = fitting(openTokenizer(vocabulary), `of ${source.name}`, checkpoint);
      return () => tokenizer;
    }
    if (checkpoint.format.startsWith("GGUF")) {
      throw new ModelError(
        `Cannot turn text into tokens: ${source.name} has no vocabulary; name a tokenizer file`,
      );
    }
    const beside = await tokenizerBeside(model, config.vocabSize);
    const tokenizer = fitting(beside, `beside ${model.name}`, checkpoint);
    return () => tokenizer;
  } catch (cause) {
    return () => {
      if (cause instanceof ModelError) throw cause;
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new ModelError(`Cannot turn text into tokens with the vocabulary of ${source.name}: ${reason}`, {
        cause,
      });
    };
  }
}
