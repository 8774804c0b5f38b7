import { randomInt } from "node:crypto";
import type { GenerateOptions } from "../runtime/index.js";
import { decimal, integer, type OptionTable, UsageError, type Values } from "./arguments.js";

/** The options of every command that writes text. */
export const samplingOptions = {
  "max-tokens": { type: "string", short: "n" },
  temperature: { type: "string" },
  "top-k": { type: "string" },
  "top-p": { type: "string" },
  "min-p": { type: "string" },
  "typical-p": { type: "string" },
  "top-n-sigma": { type: "string" },
  "xtc-probability": { type: "string" },
  "xtc-threshold": { type: "string" },
  "mirostat-tau": { type: "string" },
  "mirostat-eta": { type: "string" },
  "repetition-penalty": { type: "string" },
  "frequency-penalty": { type: "string" },
  "presence-penalty": { type: "string" },
  "penalty-last-n": { type: "string" },
  "dry-multiplier": { type: "string" },
  "dry-base": { type: "string" },
  "dry-allowed-length": { type: "string" },
  "dry-last-n": { type: "string" },
  "dry-breaker": { type: "string", multiple: true },
  "logit-bias": { type: "string", multiple: true },
  seed: { type: "string" },
  stop: { type: "string", multiple: true },
} as const satisfies OptionTable;

export const samplingOptionsHelp = (defaultMaxTokens: number) => `
  -n, --max-tokens N   most tokens to write (default ${defaultMaxTokens})
  --stop TEXT          ends the text where TEXT would begin; may be given several times
  --seed S             the same seed writes the same text (default: a random one, which is shown)

How the next token is drawn, in the order of the steps:
  --logit-bias ID=B    adds B to the logit of a token, -inf bans it; may be given several times
  --repetition-penalty R, --frequency-penalty F, --presence-penalty P
                       divides the logits of tokens that occurred by R (default 1), takes F off for each time and P
                       once (default 0)
  --penalty-last-n N   the tokens that these look back on (default 64)
  --dry-multiplier M   discourages going on with a repetition: takes M * base ^ (its length - allowed length) off
  --dry-base B, --dry-allowed-length L, --dry-last-n N, --dry-breaker TEXT
                       of that: the base (1.75), the allowed length (2), the tokens looked back on (all), a text that
                       no repetition crosses, which may be given several times (line feed, colon, quote, asterisk)
  --top-n-sigma N      only logits at most N standard deviations below the largest; 0 is no limit (default 0)
  --top-k K            only the K likeliest tokens; 0 is no limit (default 40)
  --typical-p P        only the most typical tokens that have the probability P together; 1 is no limit (default 1)
  --top-p P            only the likeliest tokens that have the probability P together; 1 is no limit (default 0.95)
  --min-p P            only tokens at least P times as likely as the likeliest; 0 is no limit (default 0)
  --xtc-probability P, --xtc-threshold T
                       with probability P (0.5), of the tokens that have at least T (0.1) only the least likely stays
  --temperature T      divides the logits; 0 always takes the likeliest token (default 0.8)
  --mirostat-tau T, --mirostat-eta E
                       after the temperature, and instead of the steps from --top-n-sigma on, keeps the surprise near T
                       bits (5) at the rate E (0.1)`;

/** What the options say, checked as far as that goes without the model. */
export function generateOptions(values: Values<typeof samplingOptions>, defaultMaxTokens: number) {
  const number = (name: keyof typeof samplingOptions, bounds?: { least?: number; most?: number }) =>
    decimal(`--${name}`, values[name] as string | undefined, bounds);
  const probability = (name: keyof typeof samplingOptions) => number(name, { most: 1 });
  const anything = { least: -Infinity };
  return {
    maxTokens: integer("-n", values["max-tokens"], 0) ?? defaultMaxTokens,
    temperature: number("temperature"),
    topK: integer("--top-k", values["top-k"], 0),
    topP: probability("top-p"),
    minP: probability("min-p"),
    typicalP: probability("typical-p"),
    topNSigma: number("top-n-sigma"),
    xtc: ifAny({ probability: probability("xtc-probability"), threshold: probability("xtc-threshold") }),
    mirostat: ifAny({ tau: number("mirostat-tau"), eta: number("mirostat-eta") }),
    repetitionPenalty: number("repetition-penalty"),
    frequencyPenalty: number("frequency-penalty", anything),
    presencePenalty: number("presence-penalty", anything),
    penaltyLastN: integer("--penalty-last-n", values["penalty-last-n"], 0),
    dry: ifAny({
      multiplier: number("dry-multiplier"),
      base: number("dry-base", { least: 1 }),
      allowedLength: integer("--dry-allowed-length", values["dry-allowed-length"], 1),
      lastN: integer("--dry-last-n", values["dry-last-n"], 0),
      sequenceBreakers: values["dry-breaker"],
    }),
    logitBias: values["logit-bias"] && new Map(values["logit-bias"].map(bias)),
    stop: values.stop,
    // drawn here, so that it can be told of a text that Ctrl-C has ended
    seed: integer("--seed", values.seed, 0) ?? randomInt(2 ** 32),
  } satisfies GenerateOptions;
}

/** A group of options, if any of them is given. */
function ifAny<T extends object>(group: T): T | undefined {
  return Object.values(group).some((value) => value !== undefined) ? group : undefined;
}

function bias(text: string): [id: number, bias: number] {
  const [, id, amount] = /^(\d+)=(-inf|-?[\d.]+)$/.exec(text) ?? [];
  if (id === undefined || amount === undefined) {
    throw new UsageError(`--logit-bias: expected ID=BIAS, such as 13=-2.5 or 13=-inf, found "${text}"`);
  }
  if (amount === "-inf") return [Number(id), -Infinity];
  return [Number(id), decimal("--logit-bias", amount, { least: -Infinity })!];
}
