import { checkNames, checkOption } from "../check-options.js";
import type { Engine } from "../engine/engine.js";
import type { ModelData } from "../engine/open-model.js";
import { checkThreads } from "../engine/threads.js";
import type { Source } from "../formats/source.js";
import { type Build, builds, type CacheType, type WeightMode } from "../memory/choices.js";
import { followingSignal } from "../or-aborted.js";
import type { Progress } from "../progress.js";
import type { SourceMessage } from "../worker/messages.js";
import { NoWorkerError, openWorkerEngine } from "../worker/worker-engine.js";
import { createModel, type Model } from "./model.js";
import { modelTokenizer } from "./open-model-tokenizer.js";
import { checkPlanOptions } from "./plan-options.js";
import { isRemote, openSource, type SourceLike, wholeAddress } from "./sources.js";

/** How a model is loaded. All of them may be left out. */
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
  /**
   * Most bytes that the model may take: weights, cache and scratch. Default: what the machine has available, as far as the system tells; pages
   * are not told. What is above is refused before any weights are read.
   */
  readonly memoryLimit?: number | undefined;
  /**
   * "resident" keeps all weights in memory. "stream" keeps as many layers as memoryLimit has room for, and reads the others from the source for
   * every pass, while the layer before is computed: a model runs that is larger than memory, at the speed of the disk. A 70B model of 39 GB
   * takes some 20 seconds for each token at 2 GB/s; prompts are read 256 tokens in a pass. The results are the same bits. The source
   * stays open until dispose(). Default: resident; a model is never streamed without being asked for.
   */
  readonly weights?: WeightMode | undefined;
  /** The kernels to use. Default: the fastest that the engine runs exactly. */
  readonly build?: Build | undefined;
  /**
   * The address of the workers' script, for pages that may not load it from where this package is: `cria/worker`, as a module of its own or
   * bundled. Default: the package's own scripts.
   */
  readonly workerUrl?: string | URL | undefined;
  /** Told after each tensor how many bytes of weights have been read. */
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
  "memoryLimit",
  "weights",
  "build",
  "workerUrl",
  "onProgress",
  "signal",
] as const satisfies readonly (keyof LoadOptions)[];

/**
 * Opens a model, a GGUF (also the first of several parts), a folder in Hugging Face's or Meta's form, or a llama2.c checkpoint, and
 * loads its weights; without a source, those of the bundled model, "tiny". It computes in a worker, so that the caller's thread stays free;
 * where workers are refused, as loadInThread() does.
 *
 * Throws TypeError or RangeError for wrong options, FormatError for bytes that are no model or a damaged one, UnsupportedError for
 * what this version cannot run, ModelError for a model that contradicts itself, NumericError for weights that are no numbers,
 * OutOfMemoryError when the plan does not fit, ThreadError when the threads that were asked for can't start, the system's error when a file cannot be opened,
 * NetworkError and StorageError when one on the web cannot be fetched or kept, and the signal's reason. Nothing of
 * a model that failed to load stays in memory.
 */
export async function load(from: SourceLike = "tiny", options: LoadOptions = {}): Promise<Model> {
  checkLoadOptions(options);
  const { tokenizer, workerUrl, onProgress, signal, ...rest } = options;
  signal?.throwIfAborted();
  const files = new SourceMessages();
  let isInUse = false;
  try {
    const { engine, data } = await openWorkerEngine({
      model: await files.add(from),
      tokenizer: tokenizer === undefined ? undefined : await files.add(tokenizer),
      owners: files.owners,
      options: { ...rest, workerUrl: workerUrl && String(workerUrl) },
      onProgress,
      signal,
    });
    isInUse = engine.facts.streamedLayers > 0;
    const dispose = () => engine.dispose().finally(() => files.close());
    return await bind(isInUse ? { ...engine, dispose } : engine, data, options, false);
  } catch (error) {
    // a script that was asked for by name has to be right
    if (!(error instanceof NoWorkerError) || workerUrl !== undefined) throw error;
    isInUse = true; // by the same sources, opened anew
    return loadInThread(from, options);
  } finally {
    if (!isInUse) await files.close();
  }
}

/**
 * Like load(), but computes on the caller's thread, in steps of about 50 ms between which other tasks run: for scripts and tests, for samplers
 * of one's own, and where workers are refused. Other threads help in Node, and in pages that are cross-origin isolated.
 */
export async function loadInThread(from: SourceLike = "tiny", options: LoadOptions = {}): Promise<Model> {
  checkLoadOptions(options);
  // not with this module: where a worker computes, a page would load them for nothing, kernels and all
  const { createEngine } = await import("../engine/engine.js");
  const { openModel } = await import("../engine/open-model.js");
  const { tokenizer, ...rest } = options;
  options.signal?.throwIfAborted();
  // the source of a streamed model is read after the loading too, and must not end with its signal then
  const { signal, letGo } = followingSignal(options.signal);
  const files = {
    model: () => openSource(from, signal),
    tokenizer: tokenizer === undefined ? undefined : () => openSource(tokenizer, signal),
  };
  try {
    const { llama, data } = await openModel(files, { ...rest, signal });
    return await bind(createEngine(llama, { stops: data.stops }), data, options, true);
  } finally {
    letGo();
  }
}

/** The model of an engine, with its tokenizer. Where that is not as asked for, the engine is disposed of. */
async function bind(
  engine: Engine,
  data: ModelData,
  { tokenizer: asked }: LoadOptions,
  inThread: boolean,
): Promise<Model> {
  try {
    const tokenizer = await modelTokenizer(data, engine.facts.config.vocabSize, asked !== undefined);
    return createModel({ engine, inThread, data, tokenizer });
  } catch (error) {
    await engine.dispose();
    throw error;
  }
}

/** Sources as a worker is told of them: it opens what has an address, and what the caller has is read for it here. */
class SourceMessages {
  readonly owners: Source[] = [];

  /** Throws as openSource does for what is no source. */
  async add(from: SourceLike): Promise<SourceMessage> {
    if (Array.isArray(from)) {
      const files: SourceMessage[] = [];
      for (const file of from) files.push(await this.add(file));
      return { kind: "list", files };
    }
    if (typeof from === "string") return { kind: "path", path: wholeAddress(from) };
    if (from instanceof Blob) {
      return { kind: "blob", blob: from, name: "name" in from ? String(from.name) : undefined };
    }
    if (from instanceof URL) return { kind: "url", href: from.href };
    if (isRemote(from)) {
      const url = typeof from.url === "string" ? wholeAddress(from.url) : String(from.url);
      return { kind: "remote", remote: { ...from, url } };
    }
    const source = await openSource(from);
    this.owners.push(source);
    return { kind: "owners", number: this.owners.length - 1, name: source.name, size: source.size };
  }

  async close(): Promise<void> {
    for (const source of this.owners) await source.close().catch(() => {}); // nothing is read any more
  }
}

/** Throws a TypeError or RangeError for the first option that is unknown or wrong. */
function checkLoadOptions(options: LoadOptions): void {
  checkNames("load", options, optionNames);
  checkPlanOptions("load", options);
  checkThreads(options.threads);
  const { build, workerUrl } = options;
  const isAddress = workerUrl === undefined || typeof workerUrl === "string" || workerUrl instanceof URL;
  checkOption("load", "workerUrl", workerUrl, "an address", isAddress);
  if (build !== undefined && !builds.includes(build)) {
    throw new TypeError(
      `Cannot load: expected build to be one of ${builds.join(", ")}, found ${String(build)}`,
    );
  }
}
