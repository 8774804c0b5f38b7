import { checkNames } from "../check-options.js";
import { chooseContext } from "../engine/choose-context.js";
import { checkThreads, threadsFor } from "../engine/threads.js";
import { OutOfMemoryError } from "../errors.js";
import { openCheckpoint } from "../formats/open.js";
import { quantizedCheckpoint } from "../formats/requantize.js";
import { availableMemory } from "../memory/available-memory.js";
import { type CacheType, cacheTypes } from "../memory/choices.js";
import { bytesOf, planFor, type Suggestion, suggestChanges } from "../memory/fit.js";
import type { Plan } from "../memory/plan.js";
import { PAGE_BYTES } from "../memory/slots.js";
import type { DecodeSpeed } from "../model/decode-speed.js";
import type { LoadOptions } from "./load.js";
import { checkPlanOptions } from "./plan-options.js";
import { openSource, type SourceLike } from "./sources.js";

/** What to estimate for: the options that the model would be loaded with. */
export interface EstimateOptions
  extends Pick<
    LoadOptions,
    "contextLength" | "cacheType" | "threads" | "quantize" | "memoryLimit" | "weights"
  > {
  /** Whether to measure for a fifth of a second how fast the model would write. Default true; without, only the header is read. */
  readonly speed?: boolean | undefined;
}

const optionNames = [
  "contextLength",
  "cacheType",
  "threads",
  "quantize",
  "memoryLimit",
  "weights",
  "speed",
] as const satisfies readonly (keyof EstimateOptions)[];

/** One memory of the engine, of less than 4 GiB, and what lies in it. */
export interface EstimatedStage {
  /** Transformer blocks in it. */
  readonly layers: number;
  /** Of these the last ones, whose weights are read anew for each token. */
  readonly streamedLayers: number;
  /** Its size, in whole pages. */
  readonly bytes: number;
}

/** What the cache takes with another context or type, and the model with it. */
export interface EstimatedContext {
  /** In positions. */
  readonly contextLength: number;
  /** How keys and values are kept. */
  readonly cacheType: CacheType;
  /** What the cache takes. */
  readonly cacheBytes: number;
  /** What the whole model takes with it. */
  readonly totalBytes: number;
}

/** What a model takes, before it is loaded. */
export interface Estimate {
  /** In positions: the option, or what load() would choose. */
  readonly contextLength: number;
  /** How keys and values are kept: the option, or f16. */
  readonly cacheType: CacheType;
  /** The option, or what load() would choose. */
  readonly threads: number;
  /** In memory; what is streamed counts once, for the layer that is there at a time. */
  readonly weightsBytes: number;
  /** Keys and values of contextLength positions. */
  readonly cacheBytes: number;
  /** Activations, RoPE's table, and the room that weights are packed in. */
  readonly scratchBytes: number;
  /** Of a layer that is read ahead, where layers are streamed. */
  readonly readAheadBytes: number;
  /** All of it, and what rounding to whole pages adds. */
  readonly totalBytes: number;
  /** The memories that the model is laid over. */
  readonly stages: readonly EstimatedStage[];
  /** With half and with a quarter of the context, and so on, in each type. */
  readonly contexts: readonly EstimatedContext[];
  /** The option memoryLimit, or what the machine has available. Undefined where nobody tells, as in browsers. */
  readonly memoryLimit: number | undefined;
  /** A browser's hint of the memory that the device has in all, rounded and capped. Undefined elsewhere. */
  readonly deviceMemory: number | undefined;
  /** Whether load() with these options would go on. Undefined where it would find out only by trying. */
  readonly fits: boolean | undefined;
  /** Changes with each of which it would fit, where it does not. */
  readonly wouldFit: readonly Suggestion[];
  /** Tokens per second that it would write, as measured here. Undefined where that was not asked for. */
  readonly speed: DecodeSpeed | undefined;
}

/**
 * Tells from a model's header what loading it with these options would take, whether this machine has it, and how fast it would write. Errors
 * are those of load(); for a model that does not fit it tells so instead, and throws OutOfMemoryError only for one whose parts no
 * memory of the engine can hold.
 */
export async function estimate(from: SourceLike = "tiny", options: EstimateOptions = {}): Promise<Estimate> {
  checkNames("estimate", options, optionNames);
  checkPlanOptions("estimate", options);
  checkThreads(options.threads);
  const { cacheType = "f16", quantize, weights, speed: wantsSpeed = true } = options;
  const memoryLimit = options.memoryLimit ?? availableMemory();
  const source = await openSource(from);
  try {
    const stored = await openCheckpoint(source);
    const checkpoint = quantize ? quantizedCheckpoint(stored, quantize) : stored;
    const contextLength = chooseContext(checkpoint, options.contextLength);
    const threads = threadsFor(checkpoint, options.threads);
    const planning = { contextLength, cacheType, threads, weights, memoryLimit };
    const plan = planFor(checkpoint, planning);
    if (plan instanceof OutOfMemoryError) throw plan;
    const fits = memoryLimit === undefined ? undefined : plan.totalBytes <= memoryLimit;

    const contexts: EstimatedContext[] = [];
    for (const length of contextLengths(contextLength)) {
      for (const type of cacheTypes) {
        const other = planFor(checkpoint, { ...planning, contextLength: length, cacheType: type });
        if (other instanceof OutOfMemoryError) continue;
        const { totalBytes } = other;
        contexts.push({
          contextLength: length,
          cacheType: type,
          cacheBytes: bytesOf(other).cache,
          totalBytes,
        });
      }
    }
    const inAll = bytesOf(plan);
    return {
      contextLength,
      cacheType,
      threads,
      weightsBytes: inAll.weights,
      cacheBytes: inAll.cache,
      scratchBytes: inAll.scratch,
      readAheadBytes: plan.readAheadBytes,
      totalBytes: plan.totalBytes,
      stages: describeStages(plan),
      contexts,
      memoryLimit,
      deviceMemory: deviceMemory(),
      fits,
      wouldFit: fits === false ? suggestChanges(checkpoint, planning) : [],
      speed: wantsSpeed ? await measured(checkpoint, plan, threads) : undefined,
    };
  } finally {
    await source.close();
  }
}

/** Not needed by those who don't ask for it. */
async function measured(...args: Parameters<typeof import("../model/decode-speed.js").predictDecoding>) {
  const { predictDecoding } = await import("../model/decode-speed.js");
  return predictDecoding(...args);
}

function describeStages({ stages }: Plan): EstimatedStage[] {
  return stages.map(({ layers, streamedFrom, pages }) => ({
    layers: layers.length,
    streamedLayers: layers.length - streamedFrom,
    bytes: pages * PAGE_BYTES,
  }));
}

/** The context and down from it in halves, to 256. */
function contextLengths(longest: number): number[] {
  const lengths = [longest];
  while (lengths.at(-1)! >= 512 && lengths.length < 5) lengths.push(lengths.at(-1)! >> 1);
  return lengths;
}

/** `navigator.deviceMemory` is in GiB, and not in every browser. */
function deviceMemory(): number | undefined {
  const gibibytes = (globalThis.navigator as { readonly deviceMemory?: unknown } | undefined)?.deviceMemory;
  return typeof gibibytes === "number" ? gibibytes * 2 ** 30 : undefined;
}
