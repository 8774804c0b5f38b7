import { ModelError } from "../errors.js";
import type { Checkpoint } from "../formats/checkpoint.js";
import { openCheckpoint } from "../formats/open.js";
import type { Source } from "../formats/source.js";
import type { GenerateTokensOptions } from "../generate/generate-tokens.js";
import { availableMemory } from "../memory/available-memory.js";
import { type Llama, type LlamaOptions, loadLlama } from "../model/llama.js";
import { createProgress } from "../progress.js";
import { chooseContext } from "./choose-context.js";
import { threadsFor } from "./threads.js";
import { readTokenizerData, readTokenizersBeside, type TokenizerData } from "./tokenizer-data.js";

export interface OpenModelOptions
  extends Pick<
    LlamaOptions,
    "cacheType" | "build" | "workerUrl" | "memoryLimit" | "weights" | "onProgress" | "signal" | "interrupt"
  > {
  readonly contextLength?: number | undefined;
  readonly threads?: number | undefined;
  readonly quantize?: "q8_0" | "q4_0" | undefined;
}

/** What a model's file says beside its weights. */
export interface ModelData {
  readonly name: string;
  /** Ids that begin and end texts. */
  readonly special: Checkpoint["special"];
  /** Ids that end texts, by their kinds. */
  readonly stops: GenerateTokensOptions["stops"];
  /** Whether a text is preceded by bos. */
  readonly addBos: boolean;
  /** Names of the vocabulary's user-defined tokens. */
  readonly userDefined: readonly string[];
  /** How the model's file says that conversations are written. */
  readonly chatTemplate: string | undefined;
  /** What may make its tokenizer: the first of the right size. */
  readonly tokenizers: readonly TokenizerData[];
  /** Why there are none. */
  readonly problem: Error | undefined;
}

/** The files of a model, opened when they are needed. */
export interface ModelFiles {
  readonly model: () => Promise<Source>;
  /** A tokenizer that was asked for in place of the model's own vocabulary. */
  readonly tokenizer: (() => Promise<Source>) | undefined;
}

/**
 * Opens a model and loads its weights. Its files are closed when nothing is read from them any more: that of a model with streamed layers
 * when it is disposed of.
 */
export async function openModel(
  files: ModelFiles,
  options: OpenModelOptions,
): Promise<{ llama: Llama; data: ModelData }> {
  const source = await files.model();
  let streaming: Llama | undefined;
  try {
    const stored = await openCheckpoint(source);
    const checkpoint = options.quantize ? await quantized(stored, options.quantize) : stored;
    const contextLength = chooseContext(checkpoint, options.contextLength);
    const data = await readModelData(checkpoint, source, files.tokenizer);
    const llama = await loadLlama(checkpoint, {
      ...options,
      contextLength,
      memoryLimit: options.memoryLimit ?? availableMemory(),
      threads: threadsFor(checkpoint, options.threads),
      threadsOptional: options.threads === undefined,
    });
    try {
      await checkHashes(source, options.onProgress);
    } catch (error) {
      await llama.dispose();
      throw error;
    }
    if (llama.plan.streamedLayers) streaming = closingAfter(llama, source);
    return { llama: streaming ?? llama, data };
  } finally {
    if (!streaming) await close(source);
  }
}

async function quantized(stored: Checkpoint, type: "q8_0" | "q4_0"): Promise<Checkpoint> {
  // not with this module: most models are loaded as they are, and a page would load the quantizing for nothing
  const { quantizedCheckpoint } = await import("../formats/requantize.js");
  return quantizedCheckpoint(stored, type);
}

/** A model with streamed layers, which closes its source when it is disposed of. */
function closingAfter(llama: Llama, source: Source): Llama {
  return {
    ...llama,
    async dispose() {
      await llama.dispose();
      await close(source);
    },
  };
}

/** What a file's closing fails with is of no interest: nothing is read from it any more, so nothing is lost. */
async function close(source: Source): Promise<void> {
  await source.close().catch(() => {});
}

/** Files whose hashes are known are checked before anybody gets to see the model. */
async function checkHashes({ verify }: Source, onProgress: OpenModelOptions["onProgress"]): Promise<void> {
  let report: ReturnType<typeof createProgress> | undefined;
  await verify?.((checked, total) => {
    report ??= createProgress("check", total, onProgress);
    report(checked);
    if (checked === total) report = undefined; // what comes after is another file's
  });
}

async function readModelData(
  { source, special, vocabulary, metadata, format }: Checkpoint,
  model: Source,
  asked: ModelFiles["tokenizer"],
): Promise<ModelData> {
  const userDefined = 4; // SentencePiece's piece type
  const template = metadata.get("tokenizer.chat_template");
  let tokenizers: readonly TokenizerData[] = [];
  let problem: Error | undefined;
  if (asked) tokenizers = [await readAsked(asked)];
  else if (vocabulary) tokenizers = [{ name: `of ${source.name}`, content: vocabulary }];
  else if (format.startsWith("GGUF")) {
    problem = new ModelError(
      `Cannot turn text into tokens: ${source.name} has no vocabulary; name a tokenizer file`,
    );
  } else {
    try {
      tokenizers = await readTokenizersBeside(model);
    } catch (error) {
      problem = error instanceof Error ? error : new Error(String(error));
    }
  }
  return {
    name: source.name,
    special,
    stops: stopsOf(special),
    addBos: vocabulary?.addBos ?? true,
    userDefined: vocabulary?.tokens.filter((_, id) => vocabulary.types?.[id] === userDefined) ?? [],
    chatTemplate: typeof template === "string" ? template : undefined,
    tokenizers,
    problem,
  };
}

async function readAsked(open: () => Promise<Source>): Promise<TokenizerData> {
  const source = await open();
  try {
    return await readTokenizerData(source);
  } finally {
    await close(source);
  }
}

function stopsOf(special: Checkpoint["special"]): ModelData["stops"] {
  const stops = new Map<number, "eos" | "eot" | "bos">();
  for (const kind of ["bos", "eot", "eos"] as const) {
    const id = special[kind];
    if (id !== undefined) stops.set(id, kind);
  }
  return stops;
}
