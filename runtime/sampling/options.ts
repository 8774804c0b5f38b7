import { checkCount, checkNames, checkOption, described } from "../check-options.js";

/**
 * A sampler of one's own. The logits are a copy that it may change; `random` gives numbers in [0, 1), the same ones for the same
 * seed. Returns an id.
 */
export type CustomSampler = (
  logits: Float32Array,
  context: {
    /** All ids so far, the prompt's included. */
    readonly tokens: readonly number[];
    /** The next of the seed's numbers, in [0, 1). */
    readonly random: () => number;
  },
) => number;

/**
 * How the next token is chosen. The steps come in this order, llama.cpp's: logitBias; the penalties; dry; topNSigma; topK;
 * typicalP; topP; minP; xtc; temperature; and a draw. Steps from topNSigma to xtc narrow down which tokens may be drawn, by their
 * probabilities at temperature 1 among those that the steps before have left; only then the temperature decides how likely each
 * of them is.
 */
export interface SamplerOptions {
  /**
   * Divides the logits: below 1 the likely gets likelier. 0 always takes the likeliest token, and what narrows down or is drawn at
   * random does nothing. Default 0.8.
   */
  readonly temperature?: number | undefined;
  /** Only this many of the likeliest tokens may be drawn; 0 is no limit. Default 40. */
  readonly topK?: number | undefined;
  /** Only the likeliest tokens that together have this probability may be drawn; 1 is no limit. Default 0.95. */
  readonly topP?: number | undefined;
  /** Only tokens may be drawn that are at least this many times as probable as the likeliest; 0 is no limit. Default 0. */
  readonly minP?: number | undefined;
  /**
   * Only tokens may be drawn that surprise about as much as is to be expected, and together have this probability; 1 is no limit.
   * Default 1.
   */
  readonly typicalP?: number | undefined;
  /** Only tokens may be drawn whose logits are at most this many standard deviations below the largest; 0 is no limit. Default 0. */
  readonly topNSigma?: number | undefined;
  /**
   * With this probability (default 0.5), of the tokens that have at least the probability `threshold` (default 0.1) all but the
   * least likely are left out. Default: never.
   */
  readonly xtc?:
    | {
        /** How often it happens, 0 to 1. Default 0.5. */
        readonly probability?: number | undefined;
        /** Probability from which a token counts as a top choice; more than 0, 1 at most. Default 0.1. */
        readonly threshold?: number | undefined;
      }
    | undefined;
  /**
   * Lets the limit on a token's surprise follow the text, so that the mean surprise nears `tau` bits (default 5) at the rate `eta`
   * (default 0.1): Mirostat 2.0. In place of the steps from topNSigma to xtc, after the temperature.
   */
  readonly mirostat?:
    | {
        /** The mean surprise to come near, in bits, 0 or more. Default 5. */
        readonly tau?: number | undefined;
        /** How fast the limit follows, 0 or more. Default 0.1. */
        readonly eta?: number | undefined;
      }
    | undefined;
  /** Divides the logits above 0, and multiplies those below, of tokens within penaltyLastN. Above 1 discourages. Default 1. */
  readonly repetitionPenalty?: number | undefined;
  /** Taken off a token's logit for each time that it occurs within penaltyLastN. Default 0. */
  readonly frequencyPenalty?: number | undefined;
  /** Taken off the logits of tokens that occur within penaltyLastN. Default 0. */
  readonly presencePenalty?: number | undefined;
  /** The tokens that the three penalties look at: so many of the last ones, prompt included. Default 64. */
  readonly penaltyLastN?: number | undefined;
  /**
   * Discourages tokens that would prolong a repetition of n tokens, n >= allowedLength (default 2), by taking multiplier (0.8) times
   * base (1.75) to the power of n - allowedLength off their logits. Looks at the last `lastN` tokens (default: all), prompt included;
   * no repetition counts beyond one of the texts `sequenceBreakers` (default: line feed, colon, double quote, asterisk), which are
   * not found where the model has no tokenizer. Default: not at all.
   */
  readonly dry?:
    | {
        /** How much a repetition of allowedLength tokens is discouraged, in logits, 0 or more. Default 0.8. */
        readonly multiplier?: number | undefined;
        /** The factor for each token more, 1 or more. Default 1.75. */
        readonly base?: number | undefined;
        /** Repetitions shorter than this are not looked at; in tokens, 1 or more. Default 2. */
        readonly allowedLength?: number | undefined;
        /** Tokens to look at, from the last one back. Default: all. */
        readonly lastN?: number | undefined;
        /** Texts beyond which no repetition counts. Default: line feed, colon, double quote, asterisk. */
        readonly sequenceBreakers?: readonly string[] | undefined;
      }
    | undefined;
  /** Added to the logits of tokens, by their ids; -Infinity bans one. */
  readonly logitBias?: Readonly<Record<number, number>> | ReadonlyMap<number, number> | undefined;
  /** An integer from 0 to 2^53 - 1: the same seed draws the same numbers. */
  readonly seed?: number | undefined;
  /** Chooses the token in place of all steps: of the other options only `seed` may be given then. */
  readonly sampler?: CustomSampler | undefined;
}

export const samplerOptionNames = [
  "temperature",
  "topK",
  "topP",
  "minP",
  "typicalP",
  "topNSigma",
  "xtc",
  "mirostat",
  "repetitionPenalty",
  "frequencyPenalty",
  "presencePenalty",
  "penaltyLastN",
  "dry",
  "logitBias",
  "seed",
  "sampler",
] as const satisfies readonly (keyof SamplerOptions)[];

const doing = "make a sampler";

/**
 * The options with their defaults filled in. Throws a TypeError that names the first option that is unknown or wrong, a
 * RangeError for a logitBias outside the vocabulary.
 */
export function checkedSamplerOptions(
  options: SamplerOptions & { readonly seed: number },
  vocabSize: number,
) {
  checkNames(doing, options, samplerOptionNames);
  const { temperature = 0.8, topK = 40, topP = 0.95, minP = 0, typicalP = 1, topNSigma = 0 } = options;
  const { repetitionPenalty = 1, frequencyPenalty = 0, presencePenalty = 0, penaltyLastN = 64 } = options;
  const { seed } = options;
  checkNumber("temperature", temperature, { least: 0 });
  checkCount(doing, "topK", topK, 0);
  checkNumber("topP", topP, { least: 0, most: 1 });
  checkNumber("minP", minP, { least: 0, most: 1 });
  checkNumber("typicalP", typicalP, { least: 0, most: 1 });
  checkNumber("topNSigma", topNSigma, { least: 0 });
  checkNumber("repetitionPenalty", repetitionPenalty, { above: 0 });
  checkNumber("frequencyPenalty", frequencyPenalty);
  checkNumber("presencePenalty", presencePenalty);
  checkCount(doing, "penaltyLastN", penaltyLastN, 0);
  checkOption(doing, "seed", seed, "an integer from 0 to 2^53 - 1", Number.isSafeInteger(seed) && seed >= 0);
  return {
    temperature,
    topK,
    topP,
    minP,
    typicalP,
    topNSigma,
    xtc: checkedXtc(options.xtc),
    mirostat: checkedMirostat(options.mirostat),
    penalties: { repetition: repetitionPenalty, frequency: frequencyPenalty, presence: presencePenalty },
    penaltyLastN,
    dry: checkedDry(options.dry),
    logitBias: checkedBias(options.logitBias, vocabSize),
    seed,
    sampler: checkedCustom(options),
  };
}

function checkedXtc(given: SamplerOptions["xtc"]) {
  const xtc = withDefaults("xtc", given, { probability: 0.5, threshold: 0.1 });
  if (!xtc) return undefined;
  checkNumber("xtc.probability", xtc.probability, { least: 0, most: 1 });
  checkNumber("xtc.threshold", xtc.threshold, { above: 0, most: 1 });
  return xtc;
}

function checkedMirostat(given: SamplerOptions["mirostat"]) {
  const mirostat = withDefaults("mirostat", given, { tau: 5, eta: 0.1 });
  if (!mirostat) return undefined;
  checkNumber("mirostat.tau", mirostat.tau, { least: 0 });
  checkNumber("mirostat.eta", mirostat.eta, { least: 0 });
  return mirostat;
}

function checkedDry(given: SamplerOptions["dry"]) {
  const dry = withDefaults("dry", given, {
    multiplier: 0.8,
    base: 1.75,
    allowedLength: 2,
    lastN: Number.MAX_SAFE_INTEGER,
    sequenceBreakers: ["\n", ":", '"', "*"] as readonly string[],
  });
  if (!dry) return undefined;
  checkNumber("dry.multiplier", dry.multiplier, { least: 0 });
  checkNumber("dry.base", dry.base, { least: 1 });
  checkCount(doing, "dry.allowedLength", dry.allowedLength, 1);
  checkCount(doing, "dry.lastN", dry.lastN, 0);
  const { sequenceBreakers } = dry;
  const areTexts =
    Array.isArray(sequenceBreakers) && sequenceBreakers.every((text) => typeof text === "string" && text);
  checkOption(doing, "dry.sequenceBreakers", sequenceBreakers, "an array of texts, none empty", areTexts);
  return dry;
}

function checkedBias(given: SamplerOptions["logitBias"], vocabSize: number): ReadonlyMap<number, number> {
  if (given === undefined) return new Map();
  const isTable = typeof given === "object" && given !== null && !Array.isArray(given);
  checkOption(doing, "logitBias", given, "an object or a Map from ids to numbers", isTable);
  const entries = given instanceof Map ? [...given] : Object.entries(given);
  return new Map(
    entries.map(([key, bias]) => {
      const id = key === "" ? Number.NaN : Number(key);
      if (!Number.isInteger(id) || id < 0 || id >= vocabSize) {
        throw new RangeError(
          `Cannot ${doing}: expected the ids of logitBias to be integers from 0 to ${vocabSize - 1}, found ${described(key)}`,
        );
      }
      const isBias = Number.isFinite(bias) || bias === -Infinity;
      checkOption(doing, `logitBias[${id}]`, bias, "a finite number or -Infinity", isBias);
      return [id, bias] as const;
    }),
  );
}

function checkedCustom({ sampler, seed: _, ...others }: SamplerOptions): CustomSampler | undefined {
  if (sampler === undefined) return undefined;
  checkOption(doing, "sampler", sampler, "a function", typeof sampler === "function");
  const other = Object.entries(others).find(([, value]) => value !== undefined);
  if (!other) return sampler;
  throw new TypeError(`Cannot ${doing}: expected of the options only seed beside sampler, found ${other[0]}`);
}

/** A group of options with its defaults filled in; undefined where it is not given. */
function withDefaults<T extends object>(
  name: string,
  given: { readonly [K in keyof T]?: T[K] | undefined } | undefined,
  defaults: T,
): T | undefined {
  if (given === undefined) return undefined;
  checkNames(doing, given, Object.keys(defaults), `options of ${name}:`);
  return {
    ...defaults,
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
  };
}

interface Bounds {
  readonly least?: number;
  readonly above?: number;
  readonly most?: number;
}

/** Throws a TypeError unless the value is a finite number within the bounds. */
function checkNumber(
  name: string,
  value: number,
  { least = -Infinity, above = -Infinity, most = Infinity }: Bounds = {},
) {
  const bounds = [
    ...(least > -Infinity ? [`${least} or more`] : []),
    ...(above > -Infinity ? [`more than ${above}`] : []),
    ...(most < Infinity ? [`${most} at most`] : []),
  ];
  const isRight = Number.isFinite(value) && value >= least && value > above && value <= most;
  checkOption(doing, name, value, ["a finite number", ...bounds].join(", "), isRight);
}
