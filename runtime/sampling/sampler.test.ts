import { describe, expect, it, vi } from "vitest";
import { chiSquareQuantile, compareDraws, type Distribution } from "../../test/llama-cpp-distributions.js";
import recorded from "../../test/llama-cpp-distributions.json" with { type: "json" };
import { distribution, type Likely, normalized, twins } from "../../test/sampling-twins.js";
import { NumericError } from "../errors.js";
import type { SamplerOptions } from "./options.js";
import { createSampler } from "./sampler.js";

const logits = Float32Array.from({ length: 24 }, (_, id) => 3 * Math.cos(id * id) - id / 8);
const model = { vocabSize: 24, textOf: (id: number) => (id === 9 ? "\n" : "x") };

/** Steps off, unless given. */
const off = { temperature: 1, topK: 0, topP: 1 } as const;

const create = (options: SamplerOptions, seed = 1) => createSampler({ ...off, ...options, seed }, model);

/** Draws 100,000 times, and compares with a distribution: the chi-square statistic over its 0.999 quantile, above 1 once in 1000. */
function chiSquareOf(
  options: SamplerOptions,
  expected: readonly Likely[],
  tokens: readonly number[] = [],
): number {
  const sample = create(options, 12345);
  const counts = new Map<number, number>();
  for (let i = 0; i < 100_000; i++) {
    const id = sample(logits, tokens);
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  const allowed = new Set(expected.map(({ id }) => id));
  for (const id of counts.keys()) expect(allowed).toContain(id);
  const statistic = expected.reduce(
    (sum, { id, p }) => sum + ((counts.get(id) ?? 0) - 1e5 * p) ** 2 / (1e5 * p),
    0,
  );
  return statistic / chiSquareQuantile(expected.length - 1);
}

/** What a temperature makes of tokens that have been narrowed down at temperature 1. */
const at = (temperature: number, tokens: readonly Likely[]) => normalized(tokens, temperature);

const all = distribution(logits);

describe("100,000 draws follow the closed form", () => {
  const biased = logits.with(3, logits[3]! + 2).with(5, -Infinity);
  const penalized = logits
    .with(0, logits[0]! / 1.3 - 2 * 0.2 - 0.1)
    .with(7, (logits[7]! > 0 ? logits[7]! / 1.3 : logits[7]! * 1.3) - 0.2 - 0.1);
  // 4 5 occurs before, followed by 6 and, three tokens long with the 3 in front, by 7
  const repeating = [4, 5, 6, 3, 4, 5, 7, 3, 4, 5];
  const dried = logits.with(6, logits[6]! - 1.2).with(7, logits[7]! - 1.2 * 1.5);
  const cases: [string, SamplerOptions, readonly Likely[], (readonly number[])?][] = [
    ["no step but the temperature", { temperature: 1.7 }, at(1.7, all)],
    ["topK", { topK: 5, temperature: 0.8 }, at(0.8, twins.topK(all, 5))],
    ["topP", { topP: 0.8, temperature: 1.5 }, at(1.5, twins.topP(all, 0.8))],
    ["minP", { minP: 0.2, temperature: 2 }, at(2, twins.minP(all, 0.2))],
    ["typicalP", { typicalP: 0.7 }, at(1, twins.typicalP(all, 0.7))],
    ["topNSigma", { topNSigma: 1.2, temperature: 3 }, at(3, twins.topNSigma(all, 1.2))],
    ["xtc", { xtc: { probability: 1, threshold: 0.1 } }, at(1, twins.xtc(all, 0.1))],
    ["logitBias", { logitBias: { 3: 2, 5: -Infinity } }, distribution(biased).filter(({ p }) => p > 0)],
    [
      "the penalties",
      { repetitionPenalty: 1.3, frequencyPenalty: 0.2, presencePenalty: 0.1, penaltyLastN: 3 },
      distribution(penalized),
      [2, 2, 0, 7, 0],
    ],
    ["dry", { dry: { multiplier: 1.2, base: 1.5 } }, distribution(dried), repeating],
    [
      "all that narrows down, in llama.cpp's order",
      {
        topNSigma: 2,
        topK: 12,
        typicalP: 0.95,
        topP: 0.9,
        minP: 0.05,
        xtc: { probability: 1 },
        temperature: 0.7,
      },
      at(0.7, chain()),
    ],
  ];

  /** Each step counts probabilities among what the steps before have left. */
  function chain(): readonly Likely[] {
    const likeliestFirst = (tokens: readonly Likely[]) => normalized(tokens).sort((a, b) => b.p - a.p);
    let left = likeliestFirst(twins.topNSigma(all, 2));
    left = likeliestFirst(twins.topK(left, 12));
    left = likeliestFirst(twins.typicalP(left, 0.95));
    left = likeliestFirst(twins.topP(left, 0.9));
    left = likeliestFirst(twins.minP(left, 0.05));
    return twins.xtc(left, 0.1);
  }

  it.each(cases)("%s", (_, options, expected, tokens) => {
    expect(expected.length).toBeGreaterThan(2);
    expect(chiSquareOf(options, expected, tokens)).toBeLessThan(1);
  });

  it("xtc that happens with a probability: a mixture of with and without", () => {
    const without = new Map(at(1, twins.xtc(all, 0.1)).map(({ id, p }) => [id, p]));
    const mixed = all.map((token) => ({ ...token, p: 0.3 * (without.get(token.id) ?? 0) + 0.7 * token.p }));
    expect(chiSquareOf({ xtc: { probability: 0.3 } }, mixed)).toBeLessThan(1);
  });

  it("mirostat, its mu held still", () => {
    const surprising = at(0.9, all).filter(({ p }) => -Math.log2(p) <= 4);
    expect(surprising.length).toBeLessThan(24);
    const options = { temperature: 0.9, mirostat: { tau: 2, eta: 0 } };
    expect(chiSquareOf(options, at(0.9, surprising))).toBeLessThan(1);
  });
});

// stories260K's logits after two texts, and what llama.cpp makes of them: recorded by bench/peers/sampling.ts
describe(`100,000 draws follow the probabilities of ${recorded.by}`, () => {
  const logits: Readonly<Record<string, number[]>> = recorded.logits;
  it.each(recorded.distributions as unknown as readonly Distribution[])("$name", (distribution) => {
    const { excess, strangers } = compareDraws(distribution, logits[distribution.text]!);
    expect(strangers).toEqual([]);
    expect(excess).toBeLessThan(1);
  });
});

describe("createSampler()", () => {
  it("lets mirostat's mean surprise, among the tokens left each time, near its target", () => {
    const flat = Float32Array.from({ length: 24 }, (_, id) => -id / 6);
    const tokens = distribution(flat);
    for (const tau of [1.5, 2.5, 3.2]) {
      const sample = create({ mirostat: { tau } }, 7);
      let mu = 2 * tau;
      let sum = 0;
      for (let i = 0; i < 5000; i++) {
        const id = sample(flat, []);
        const left = normalized(tokens.filter(({ p }, rank) => rank === 0 || -Math.log2(p) <= mu));
        const surprise = -Math.log2(left.find((token) => token.id === id)!.p); // throws for one that may not be drawn
        mu -= 0.1 * (surprise - tau);
        sum += surprise;
      }
      expect(Math.abs(sum / 5000 - tau)).toBeLessThan(0.02);
    }
  });

  it("takes the likeliest at temperature 0, after bias and penalties, whatever else is asked for", () => {
    const best = all[0]!.id;
    const narrow = { temperature: 0, topP: 0.1, xtc: { probability: 1 }, mirostat: {} };
    expect(create(narrow)(logits, [])).toBe(best);
    expect(create({ ...narrow, logitBias: { [best]: -Infinity } })(logits, [])).toBe(all[1]!.id);
    expect(create({ ...narrow, presencePenalty: 100 })(logits, [best])).toBe(all[1]!.id);
    expect(create({ ...narrow, presencePenalty: 100, penaltyLastN: 1 })(logits, [best, 23])).toBe(best);
    expect(create({ ...narrow, presencePenalty: 100, penaltyLastN: 0 })(logits, [best])).toBe(best);
  });

  it("counts no repetition across a sequence breaker", () => {
    const logits = Float32Array.from({ length: 24 }, (_, id) => (id === 6 ? 1 : 0));
    const dry = { multiplier: 10, allowedLength: 2 };
    const pick = (tokens: number[], sequenceBreakers?: string[]) =>
      create({ temperature: 0, dry: { ...dry, sequenceBreakers } })(logits, tokens);
    expect(pick([4, 9, 6, 1, 4, 9])).toBe(6); // 9 is a line feed
    expect(pick([4, 9, 6, 1, 4, 9], [])).toBe(0);
    expect(pick([4, 5, 6, 1, 4, 5])).toBe(0);
  });

  it("leaves the logits as they are", () => {
    const before = logits.slice();
    create({ logitBias: { 1: 5 }, repetitionPenalty: 2, dry: {}, topP: 0.5, typicalP: 0.9 })(
      logits,
      [1, 2, 1, 2],
    );
    expect(logits).toEqual(before);
  });

  it("gives the same ids for the same seed, and others for another", () => {
    const ids = (seed: number) => {
      const sample = create({ xtc: {}, mirostat: undefined, topP: 0.95 }, seed);
      return Array.from({ length: 50 }, () => sample(logits, []));
    };
    expect(ids(4)).toEqual(ids(4));
    expect(ids(4)).not.toEqual(ids(5));
  });

  it("keeps the order of steps: topK before topP, topP before minP, these before the temperature", () => {
    // of the two likeliest the first has 0.69, so that 0.6 is reached by it alone; of all it has 0.5
    const logits = Float32Array.of(Math.log(0.5), Math.log(0.225), ...Array(22).fill(Math.log(0.0125)));
    const kept = (options: SamplerOptions) => {
      const sample = create(options);
      return new Set(Array.from({ length: 2000 }, () => sample(logits, [])));
    };
    expect(kept({ topK: 2, topP: 0.6 })).toEqual(new Set([0]));
    expect(kept({ topP: 0.6 })).toEqual(new Set([0, 1]));
    expect(kept({ minP: 0.3, topP: 0.6 })).toEqual(new Set([0, 1])); // after minP the first would have 0.69
    expect(kept({ topP: 0.6, temperature: 100 })).toEqual(new Set([0, 1]));
  });

  it("asks a sampler of the caller's for an id, with logits of its own, the tokens and seeded numbers", () => {
    const sampler = vi.fn((own: Float32Array, { random }: { random: () => number }) => {
      own.fill(0);
      return Math.floor(random() * own.length);
    });
    const draw = (seed: number) => {
      const sample = createSampler({ sampler, seed }, model);
      return Array.from({ length: 20 }, () => sample(logits, [1, 2]));
    };
    const before = logits.slice();
    expect(draw(1)).toEqual(draw(1));
    expect(draw(2)).not.toEqual(draw(1));
    expect(logits).toEqual(before);
    expect(sampler.mock.calls[0]![1]).toMatchObject({ tokens: [1, 2] });
  });

  it.each([-1, 24, 1.5, Number.NaN, "3", undefined])("refuses %s from a sampler of the caller's", (id) => {
    const sample = createSampler({ sampler: () => id as number, seed: 1 }, model);
    expect(() => sample(logits, [])).toThrow(RangeError);
    expect(() => sample(logits, [])).toThrow(`found ${id}`);
  });

  it("refuses logits that are no numbers, or not as many as the vocabulary, and a ban of all", () => {
    expect(() => create({})(logits.with(3, Number.NaN), [])).toThrow(NumericError);
    expect(() => create({})(logits.with(3, -Infinity), [])).toThrow(NumericError);
    expect(() => create({})(logits.subarray(1), [])).toThrow("expected 24 logits, found 23");
    const logitBias = new Map(Array.from(logits, (_, id) => [id, -Infinity] as const));
    for (const options of [
      { temperature: 0 },
      {},
      { topK: 5 },
      { topP: 0.9 },
      { mirostat: {} },
      { typicalP: 0.5 },
    ]) {
      expect(() => create({ ...options, logitBias })(logits, [])).toThrow("all of them banned");
    }
  });

  const { NaN: nan } = Number;
  it.each([
    ["temperature", nan],
    ["temperature", -1],
    ["temperature", "hot"],
    ["topK", -5],
    ["topK", 1.5],
    ["topP", 1.01],
    ["topP", nan],
    ["minP", -0.1],
    ["minP", nan],
    ["typicalP", 2],
    ["typicalP", "1"],
    ["topNSigma", -1],
    ["topNSigma", Infinity],
    ["repetitionPenalty", 0],
    ["repetitionPenalty", nan],
    ["frequencyPenalty", nan],
    ["presencePenalty", Infinity],
    ["penaltyLastN", -1],
    ["seed", "x"],
    ["seed", -1],
    ["seed", 2 ** 53],
    ["xtc", 0.5],
    ["xtc.probability", { probability: nan }],
    ["xtc.threshold", { threshold: 0 }],
    ["odds", { odds: 1 }, "xtc"],
    ["mirostat", true],
    ["mirostat.tau", { tau: -1 }],
    ["mirostat.eta", { eta: nan }],
    ["dry", null],
    ["dry.multiplier", { multiplier: -1 }],
    ["dry.base", { base: 0.9 }],
    ["dry.allowedLength", { allowedLength: 0 }],
    ["dry.lastN", { lastN: -1 }],
    ["dry.sequenceBreakers", { sequenceBreakers: "\n" }],
    ["dry.sequenceBreakers", { sequenceBreakers: [""] }],
    ["logitBias", [1, 2]],
    ["logitBias[3]", { 3: nan }],
    ["logitBias[3]", { 3: Infinity }],
    ["logitBias[3]", new Map([[3, "1"]])],
    ["sampler", "greedy"],
    ["top_k", 5],
  ])("%s: %j is a TypeError that names it", (name, value, option = name.replace(/[.[].*/, "")) => {
    const attempt = () =>
      create({ [option]: value } as SamplerOptions, (option === "seed" ? value : 1) as number);
    expect(attempt).toThrow(TypeError);
    expect(attempt).toThrow(name);
  });

  it.each([24, -1, 1.5, "x", ""])("refuses a bias on %j, which is no id of the vocabulary", (id) => {
    expect(() => create({ logitBias: { [id]: 1 } })).toThrow(RangeError);
    expect(() => create({ logitBias: { [id]: 1 } })).toThrow("logitBias");
  });

  it("refuses other options beside a sampler of the caller's", () => {
    const attempt = () => createSampler({ sampler: () => 0, topK: 5, seed: 1 }, model);
    expect(attempt).toThrow(TypeError);
    expect(attempt).toThrow("found topK");
  });
});
