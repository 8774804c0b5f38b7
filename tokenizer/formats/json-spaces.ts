import type { UnsupportedTokenizerError } from "../errors.js";
import { type Normalization, plainNormalization } from "../model.js";
import { isObject, type Json } from "./json.js";

type Refuse = (field: string, expected: string, found: unknown) => UnsupportedTokenizerError;

/**
 * How a tokenizer.json writes spaces: Llama's older files with a normalizer (Prepend, Replace), its newer ones with a
 * Metaspace pre-tokenizer. And whether its decoder drops the space in front again.
 */
export function readSpaces(
  file: Json,
  refuse: Refuse,
): { readonly normalization: Normalization; readonly stripsSpace: boolean } {
  const { normalizer, pre_tokenizer: preTokenizer } = file;
  const prepends = normalizer ? readNormalizer(normalizer, refuse) : undefined;
  const stripsSpace = readDecoder(file.decoder, refuse);
  if (!preTokenizer) {
    if (prepends === undefined) throw refuse("normalizer", "one that writes spaces as U+2581", normalizer);
    return { normalization: { ...plainNormalization, addDummyPrefix: prepends }, stripsSpace };
  }
  if (prepends !== undefined || !isObject(preTokenizer) || preTokenizer.type !== "Metaspace") {
    throw refuse("pre_tokenizer", "Metaspace without a normalizer, or none", preTokenizer);
  }
  if (preTokenizer.replacement !== "\u2581") throw refuse("pre_tokenizer", "U+2581", preTokenizer);
  const scheme =
    preTokenizer.prepend_scheme ?? (preTokenizer.add_prefix_space === false ? "never" : "always");
  if (scheme !== "always" && scheme !== "first" && scheme !== "never") {
    throw refuse("pre_tokenizer.prepend_scheme", "always, first or never", scheme);
  }
  return {
    normalization: {
      ...plainNormalization,
      addDummyPrefix: scheme !== "never",
      prefix: scheme === "first" ? "start, unless spaced" : "unless spaced",
      splitsWords: preTokenizer.split !== false,
    },
    stripsSpace,
  };
}

/** Whether it puts a space in front. */
function readNormalizer(normalizer: unknown, refuse: Refuse): boolean {
  const steps = stepsOf(normalizer, "normalizers");
  const replaces = steps.filter((step) => step.type === "Replace" && isReplace(step, " ", "\u2581"));
  const prepends = steps.filter((step) => step.type === "Prepend" && step.prepend === "\u2581");
  if (replaces.length !== 1 || prepends.length > 1 || steps.length !== replaces.length + prepends.length) {
    throw refuse("normalizer", "Prepend and Replace of U+2581", normalizer);
  }
  return prepends.length === 1;
}

/** Whether it drops the space in front. */
function readDecoder(decoder: unknown, refuse: Refuse): boolean {
  let strips = false;
  for (const step of stepsOf(decoder, "decoders")) {
    if (step.type === "ByteFallback" || step.type === "Fuse") continue;
    if (step.type === "Replace" && isReplace(step, "\u2581", " ")) continue;
    if (step.type === "Strip" && step.content === " " && step.start === 1 && step.stop === 0) strips = true;
    else if (step.type === "Metaspace" && step.replacement === "\u2581") {
      strips = step.prepend_scheme ? step.prepend_scheme !== "never" : step.add_prefix_space !== false;
    } else throw refuse("decoder", "Replace, ByteFallback, Fuse and Strip, or Metaspace", step);
  }
  return strips;
}

function isReplace(step: Json, pattern: string, content: string): boolean {
  return isObject(step.pattern) && step.pattern.String === pattern && step.content === content;
}

function stepsOf(value: unknown, list: string): readonly Json[] {
  if (!isObject(value)) return [];
  const steps = value.type === "Sequence" ? value[list] : [value];
  // one that is no sequence of steps stands for itself, and is refused as a step of an unknown type
  return Array.isArray(steps) && steps.every(isObject) ? steps : [value];
}
