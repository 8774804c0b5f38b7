import { grouped } from "./byte-cursor.js";
import type { ModelConfig } from "./checkpoint.js";

/**
 * The largest sizes that a config may name: several times those of the largest models there are, and small enough
 * that sizes of tensors and files computed from them stay exact integers, and loops over layers short, whatever a
 * hostile file says.
 */
const limits = {
  dim: 2 ** 17, // 16,384 in Llama 3.1 405B
  hiddenDim: 2 ** 19, // 53,248 there
  nLayers: 1024, // 126 there
  nHeads: 4096, // 128 there
  nKvHeads: 4096,
  headDim: 4096, // 256 in Gemma
  vocabSize: 2 ** 20, // 262,144 in Gemma 3
  contextLength: 2 ** 24, // 10,485,760 in Llama 4
} as const;

/** What a file format calls each field of the config. */
export type ConfigNames = Readonly<Record<Exclude<keyof ModelConfig, "kvDim">, string>>;

/**
 * What is wrong with a config, as "field: expected ..., found ...", or undefined for one that can be run. Formats
 * compute headDim as dim / nHeads where the file does not give it, without checking; so it may come as a fraction or
 * an infinity.
 */
export function configProblem(config: ModelConfig, names: ConfigNames): string | undefined {
  const wrong = (field: keyof ConfigNames, expected: string, found: number = config[field]) =>
    `${names[field]}: expected ${expected}, found ${found}`;

  for (const [field, most] of Object.entries(limits) as [keyof typeof limits, number][]) {
    if (field === "headDim") continue; // after the numbers that it is made from
    const value = config[field];
    if (!(Number.isInteger(value) && value >= 1 && value <= most)) {
      return wrong(field, `1 to ${grouped(most)}`);
    }
  }

  const { dim, nHeads, nKvHeads, headDim, ropeDim, ropeBase, normEps } = config;
  if (!Number.isInteger(headDim)) return wrong("dim", `a multiple of the ${nHeads} heads`, dim);
  if (headDim % 2 !== 0 || headDim < 2 || headDim > limits.headDim) {
    // RoPE rotates pairs
    return wrong("headDim", `an even size of a head up to ${grouped(limits.headDim)}`);
  }
  if (nHeads % nKvHeads !== 0) return wrong("nKvHeads", `a divisor of the ${nHeads} heads`);
  if (!Number.isInteger(ropeDim) || ropeDim % 2 !== 0 || ropeDim < 2 || ropeDim > headDim) {
    return wrong("ropeDim", `an even number from 2 to the head's ${headDim}`);
  }
  // below 1 the frequencies would grow with the dimension, beyond what angles can be computed for
  if (!(ropeBase >= 1 && Number.isFinite(ropeBase))) return wrong("ropeBase", "a finite number from 1 up");
  if (!(normEps > 0 && Number.isFinite(normEps))) return wrong("normEps", "a finite number above 0");
  return undefined;
}
