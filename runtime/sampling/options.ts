/** How the next token is chosen. */
export interface SamplerOptions {
  /** Divides the logits: below 1 the likely gets likelier. 0 always takes the likeliest token. Default 0.8. */
  readonly temperature?: number | undefined;
  /** Only this many of the likeliest tokens may be drawn; 0 is no limit. Default 40. */
  readonly topK?: number | undefined;
  /** Only the likeliest tokens that together have this probability may be drawn; 1 is no limit. Default 0.95. */
  readonly topP?: number | undefined;
  /** An integer from 0 to 2^53 - 1; the same seed draws the same numbers. */
  readonly seed: number;
}

/** The options with their defaults filled in. Throws a TypeError that names the first option that is unknown or wrong. */
export function checkedSamplerOptions(options: SamplerOptions) {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`Cannot make a sampler: expected an object of options, found ${described(options)}`);
  }
  const { temperature = 0.8, topK = 40, topP = 0.95, seed, ...unknown } = options;
  for (const name of Object.keys(unknown)) {
    throw new TypeError(
      `Cannot make a sampler: expected the options temperature, topK, topP and seed, found "${name}"`,
    );
  }
  check(
    "temperature",
    temperature,
    "a finite number, 0 or more",
    Number.isFinite(temperature) && temperature >= 0,
  );
  check("topK", topK, "an integer, 0 or more", Number.isSafeInteger(topK) && topK >= 0);
  check("topP", topP, "a number from 0 to 1", typeof topP === "number" && topP >= 0 && topP <= 1);
  check("seed", seed, "an integer from 0 to 2^53 - 1", Number.isSafeInteger(seed) && seed >= 0);
  return { temperature, topK, topP, seed };
}

function check(name: string, value: unknown, expected: string, isRight: boolean): void {
  if (!isRight) {
    throw new TypeError(
      `Cannot make a sampler: expected ${name} to be ${expected}, found ${described(value)}`,
    );
  }
}

function described(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "function") return "a function";
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "an array" : "an object";
  return String(value);
}
