import { OutOfMemoryError } from "../errors.js";
import { grouped } from "../formats/byte-cursor.js";
import type { Checkpoint, TensorInfo } from "../formats/checkpoint.js";
import { classifierOf, outputType } from "../formats/output-type.js";
import { rowBytes } from "../formats/tensor-types.js";
import type { CacheType, WeightMode } from "./choices.js";
import { type Plan, type PlanOptions, planModel } from "./plan.js";

export interface FitOptions extends PlanOptions {
  /** Most bytes that the plan may take in all. Default: no limit. */
  readonly memoryLimit?: number | undefined;
  /** Default resident. */
  readonly weights?: WeightMode | undefined;
}

/** A change with which a model fits, and what it then takes. */
export interface Suggestion {
  /** A shorter context, in positions. */
  readonly contextLength?: number;
  /** Another type for keys and values. */
  readonly cacheType?: CacheType;
  /** The type of all matrices: of another file or, where `quantize` says so, made while loading. */
  readonly type?: "q8_0" | "q4_0";
  /** Whether the option `quantize` of load() makes that type. */
  readonly quantize?: boolean;
  /** The option `weights` of load(). */
  readonly weights?: "stream";
  /** Bytes that the model then takes. */
  readonly totalBytes: number;
}

/** Contexts are suggested in steps of this. */
const CONTEXT_STEP = 64;

/**
 * The plan of a model within a limit. With streamed weights as many layers are kept as the limit has room for. Throws
 * OutOfMemoryError, with what is needed, what there is, and with which changes the model would fit.
 */
export function planWithin(checkpoint: Checkpoint, options: FitOptions): Plan {
  const { memoryLimit = Number.POSITIVE_INFINITY } = options;
  const plan = planFor(checkpoint, options);
  if (!(plan instanceof OutOfMemoryError) && plan.totalBytes <= memoryLimit) return plan;
  const advice = suggestChanges(checkpoint, options).map(described);
  const wouldFit = advice.length ? `; it would fit with ${advice.join(", with ")}` : "";
  if (plan instanceof OutOfMemoryError) {
    throw new OutOfMemoryError(`${plan.message}${wouldFit}`, { cause: plan });
  }
  const { weights, cache, scratch } = bytesOf(plan);
  const parts = [`weights ${grouped(weights)}`, `cache ${grouped(cache)}`, `scratch ${grouped(scratch)}`];
  if (plan.readAheadBytes) parts.push(`read ahead ${grouped(plan.readAheadBytes)}`);
  throw new OutOfMemoryError(
    `Cannot load ${checkpoint.source.name}: expected ${grouped(plan.totalBytes)} bytes of memory (${parts.join(", ")}), found ${grouped(memoryLimit)} that it may take${wouldFit}`,
  );
}

/** The plan that comes closest to the limit, or the reason why there is none at all. */
export function planFor(checkpoint: Checkpoint, options: FitOptions): Plan | OutOfMemoryError {
  const { memoryLimit = Number.POSITIVE_INFINITY, weights } = options;
  const attempt = (streamedLayers: number) => {
    try {
      return planModel(checkpoint, { ...options, streamedLayers });
    } catch (error) {
      if (error instanceof OutOfMemoryError) return error;
      throw error;
    }
  };
  const fits = (plan: Plan | OutOfMemoryError) =>
    !(plan instanceof OutOfMemoryError) && plan.totalBytes <= memoryLimit;

  const whole = attempt(options.streamedLayers ?? 0);
  if (fits(whole) || weights !== "stream") return whole;
  // the fewest streamed layers that fit: the more of them, the less memory
  let tooFew = 0;
  let streamed = checkpoint.config.nLayers;
  let best = attempt(streamed);
  while (streamed - tooFew > 1 && fits(best)) {
    const middle = (tooFew + streamed) >> 1;
    const plan = attempt(middle);
    if (fits(plan)) {
      streamed = middle;
      best = plan;
    } else tooFew = middle;
  }
  return best;
}

/** What a plan takes in all its stages. */
export function bytesOf({ stages }: Plan): {
  readonly weights: number;
  readonly cache: number;
  readonly scratch: number;
} {
  const sum = (kind: "weights" | "cache" | "scratch") =>
    stages.reduce((bytes, stage) => bytes + stage.bytes[kind], 0);
  return { weights: sum("weights"), cache: sum("cache"), scratch: sum("scratch") };
}

/** Changes to the options, or to the model, with each of which it would fit by its plan; the least ones first. */
export function suggestChanges(checkpoint: Checkpoint, options: FitOptions): Suggestion[] {
  const { memoryLimit = Number.POSITIVE_INFINITY, cacheType, contextLength, weights } = options;
  const suggestions: Suggestion[] = [];
  /** Tells whether it helps. */
  const suggest = (change: Omit<Suggestion, "totalBytes">, model = checkpoint): boolean => {
    const { type: _, quantize: __, ...changes } = change;
    const plan = planFor(model, { ...options, ...changes });
    if (plan instanceof OutOfMemoryError || plan.totalBytes > memoryLimit) return false;
    suggestions.push({ ...change, totalBytes: plan.totalBytes });
    return true;
  };
  const suggestContext = (change: { readonly cacheType?: CacheType }) => {
    const fits = (steps: number) => {
      const plan = planFor(checkpoint, { ...options, ...change, contextLength: steps * CONTEXT_STEP });
      return !(plan instanceof OutOfMemoryError) && plan.totalBytes <= memoryLimit;
    };
    let most = 0;
    let tooMany = Math.ceil(contextLength / CONTEXT_STEP);
    while (tooMany - most > 1) {
      const middle = (most + tooMany) >> 1;
      if (fits(middle)) most = middle;
      else tooMany = middle;
    }
    if (most) suggest({ ...change, contextLength: most * CONTEXT_STEP });
  };

  suggestContext({});
  if (cacheType !== "q8_0" && !suggest({ cacheType: "q8_0" })) suggestContext({ cacheType: "q8_0" });
  for (const type of ["q8_0", "q4_0"] as const) {
    const smaller = smallerModel(checkpoint, type);
    if (smaller && suggest({ type, ...(smaller.floats && { quantize: true }) }, smaller.checkpoint)) break;
  }
  if (weights !== "stream") suggest({ weights: "stream" });
  return suggestions;
}

function described({ contextLength, cacheType, type, quantize, weights, totalBytes }: Suggestion): string {
  const changes: string[] = [];
  if (contextLength !== undefined) changes.push(`a context of ${grouped(contextLength)}`);
  if (cacheType !== undefined) changes.push(`a cache of ${cacheType}`);
  if (type !== undefined) changes.push(quantize ? `weights quantized to ${type}` : `a file of type ${type}`);
  if (weights !== undefined) changes.push("streamed weights");
  return `${changes.join(" and ")} (${grouped(totalBytes)})`;
}

/** The header that the model would have with its matrices in another type; undefined where that is not smaller. */
function smallerModel(
  checkpoint: Checkpoint,
  type: "q8_0" | "q4_0",
): { readonly checkpoint: Checkpoint; readonly floats: boolean } | undefined {
  const classifier = classifierOf(checkpoint);
  const wanted = type === "q8_0" ? "Q8_0" : "Q4_0";
  const tensors = new Map<string, TensorInfo>();
  let before = 0;
  let after = 0;
  let floats = true;
  for (const [name, tensor] of checkpoint.tensors) {
    const { shape } = tensor;
    const changed = outputType(tensor, wanted, classifier);
    const bytes = shape.length === 1 ? tensor.bytes : shape[0]! * rowBytes(changed, shape[1]!);
    if (shape.length > 1) floats &&= /^B?F\d+$/.test(tensor.type);
    before += tensor.bytes;
    after += bytes;
    tensors.set(name, shape.length === 1 ? tensor : { ...tensor, type: changed, bytes });
  }
  return after < before ? { checkpoint: { ...checkpoint, tensors }, floats } : undefined;
}
