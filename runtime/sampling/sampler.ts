import { everyId } from "./candidates.js";
import { checkFinite } from "./check-finite.js";
import { draw } from "./draw.js";
import { penalizeProlonging, tokensSinceBreaker } from "./dry.js";
import { createMassScratch } from "./first-with-mass.js";
import { greedy } from "./greedy.js";
import { addBias } from "./logit-bias.js";
import { minP } from "./min-p.js";
import { nextMu, surprisingAtMost } from "./mirostat.js";
import { type CustomSampler, checkedSamplerOptions, type SamplerOptions } from "./options.js";
import { penalize } from "./penalties.js";
import { createRandom } from "./random.js";
import { softmax } from "./softmax.js";
import { topK } from "./top-k.js";
import { topNSigma } from "./top-n-sigma.js";
import { topP } from "./top-p.js";
import { typicalP } from "./typical-p.js";
import { excludeTopChoices } from "./xtc.js";

/**
 * Chooses the next token from the logits f32[vocabSize] of the position after `tokens`: all ids so far, prompt included. A
 * sampler belongs to one text, since it goes on drawing random numbers (and mirostat's mu goes on).
 */
export type Sampler = (logits: Float32Array, tokens: readonly number[]) => number;

export interface SamplerModel {
  readonly vocabSize: number;
  /** The text of a token; empty where the model has none. */
  readonly textOf: (id: number) => string;
}

/**
 * A sampler for a model. The same options, logits and tokens give the same ids on every machine.
 *
 * Equal logits rank by id, the lower first. Each call draws one random number, and before it another one with xtc; at temperature
 * 0 there is nothing to draw.
 *
 * Throws as checkedSamplerOptions does. The sampler itself throws a NumericError when a logit is NaN or infinite, a RangeError when
 * there are not as many logits as pieces in the vocabulary, when all tokens are banned, and when a custom sampler returns no id.
 */
export function createSampler(
  options: SamplerOptions & { readonly seed: number },
  { vocabSize, textOf }: SamplerModel,
): Sampler {
  const checked = checkedSamplerOptions(options, vocabSize);
  const random = createRandom(checked.seed);
  const choose =
    checked.sampler === undefined
      ? choosing(checked, random, createScratch(vocabSize), textOf)
      : asking(checked.sampler, random);
  return (logits, tokens) => {
    if (logits.length !== vocabSize) {
      throw new RangeError(`Cannot choose a token: expected ${vocabSize} logits, found ${logits.length}`);
    }
    checkFinite(logits);
    return choose(logits, tokens);
  };
}

type Checked = ReturnType<typeof checkedSamplerOptions>;
type Scratch = ReturnType<typeof createScratch>;

function createScratch(vocabSize: number) {
  return {
    changed: new Float32Array(vocabSize),
    ids: new Uint32Array(vocabSize),
    values: new Float32Array(vocabSize),
    probabilities: new Float64Array(vocabSize),
    ...createMassScratch(vocabSize),
  };
}

/** The steps that are on, in llama.cpp's conventional order. */
function choosing(
  options: Checked,
  random: () => number,
  scratch: Scratch,
  textOf: (id: number) => string,
): Sampler {
  const { temperature } = options;
  const change = changing(options, scratch, textOf);
  if (temperature === 0) return (logits, tokens) => greedy(change(logits, tokens));
  const pick = options.mirostat
    ? mirostat(temperature, options.mirostat, random, scratch)
    : narrowing(options, random, scratch);
  return (logits, tokens) => pick(change(logits, tokens), everyId(scratch.ids));
}

/** What changes logits. Gives them back as they are where nothing does, else a changed copy. */
function changing(
  { logitBias, penalties, penaltyLastN, dry }: Checked,
  { changed }: Scratch,
  textOf: (id: number) => string,
): (logits: Float32Array, tokens: readonly number[]) => Float32Array {
  const steps: ((logits: Float32Array, tokens: readonly number[]) => void)[] = [];
  if (logitBias.size > 0) steps.push((logits) => addBias(logits, logitBias));
  const { repetition, frequency, presence } = penalties;
  if (penaltyLastN > 0 && (repetition !== 1 || frequency !== 0 || presence !== 0)) {
    steps.push((logits, tokens) => penalize(logits, tokens.slice(-penaltyLastN), penalties));
  }
  if (dry && dry.multiplier > 0 && dry.lastN > 0) {
    steps.push((logits, tokens) => {
      const recent = tokens.slice(-dry.lastN);
      const sinceBreaker = (most: number) => tokensSinceBreaker(recent, dry.sequenceBreakers, textOf, most);
      penalizeProlonging(logits, recent, sinceBreaker, dry);
    });
  }
  if (steps.length === 0) return (logits) => logits;
  return (logits, tokens) => {
    changed.set(logits);
    for (const step of steps) step(changed, tokens);
    return changed;
  };
}

/** Chooses one of the candidates. */
type Pick = (logits: Float32Array, ids: Uint32Array) => number;

/** Leaves out what may not be drawn, and draws one of the rest. */
function narrowing(options: Checked, random: () => number, scratch: Scratch): Pick {
  const { topNSigma: n, topK: k, typicalP: typical, topP: p, minP: min, xtc, temperature } = options;
  const steps: ((logits: Float32Array, ids: Uint32Array) => Uint32Array)[] = [];
  if (n > 0) steps.push((logits, ids) => topNSigma(logits, ids, n));
  if (k > 0) steps.push((logits, ids) => topK(logits, ids, k));
  if (typical < 1) steps.push((logits, ids) => typicalP(logits, ids, typical, scratch));
  if (p < 1) steps.push((logits, ids) => topP(logits, ids, p, scratch));
  if (min > 0) steps.push((logits, ids) => minP(logits, ids, min));
  if (xtc) {
    const { probability, threshold } = xtc;
    steps.push((logits, ids) =>
      random() < probability ? excludeTopChoices(logits, ids, threshold, scratch.probabilities) : ids,
    );
  }
  return (logits, all) => {
    const ids = steps.reduce((left, step) => step(logits, left), all);
    return draw(ids, softmax(logits, ids, temperature, scratch.probabilities), random());
  };
}

function mirostat(
  temperature: number,
  { tau, eta }: { readonly tau: number; readonly eta: number },
  random: () => number,
  { probabilities }: Scratch,
): Pick {
  let mu = 2 * tau;
  return (logits, all) => {
    const ids = surprisingAtMost(all, softmax(logits, all, temperature, probabilities), mu);
    const id = draw(ids, probabilities, random());
    let sum = 0;
    for (const left of ids) sum += probabilities[left]!;
    mu = nextMu(mu, probabilities[id]! / sum, { tau, eta });
    return id;
  };
}

function asking(sampler: CustomSampler, random: () => number): Sampler {
  return (logits, tokens) => {
    const id = sampler(logits.slice(), { tokens, random });
    if (Number.isInteger(id) && id >= 0 && id < logits.length) return id;
    throw new RangeError(
      `Cannot choose a token: expected the sampler to return an id from 0 to ${logits.length - 1}, found ${String(id)}`,
    );
  };
}
