import { checkCount } from "../check-options.js";
import { type CacheType, cacheTypes, type WeightMode, weightModes } from "../memory/choices.js";

/** Options that say what memory a model takes. */
export interface PlanOptions {
  readonly contextLength?: number | undefined;
  readonly cacheType?: CacheType | undefined;
  readonly quantize?: "q8_0" | "q4_0" | undefined;
  readonly memoryLimit?: number | undefined;
  readonly weights?: WeightMode | undefined;
}

/** Throws a TypeError that names the first option that is wrong. */
export function checkPlanOptions(doing: string, options: PlanOptions): void {
  checkCount(doing, "contextLength", options.contextLength, 1);
  checkCount(doing, "memoryLimit", options.memoryLimit, 1);
  checkOneOf(doing, "cacheType", options.cacheType, cacheTypes);
  checkOneOf(doing, "quantize", options.quantize, ["q8_0", "q4_0"]);
  checkOneOf(doing, "weights", options.weights, weightModes);
}

function checkOneOf(doing: string, name: string, value: unknown, known: readonly string[]): void {
  if (value === undefined || known.includes(value as string)) return;
  const expected = `${known.slice(0, -1).join(", ")} or ${known.at(-1)}`;
  throw new TypeError(`Cannot ${doing}: expected ${name} to be ${expected}, found ${String(value)}`);
}
