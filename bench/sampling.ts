// What choosing a token costs, for the 32,000 logits of Llama 2's vocabulary: each step alone and all together, against
// greedy, which looks at every logit once.
//
//   node dist/bench/sampling.js [--seconds S]

import { parseArgs } from "node:util";
import { describeMachine, thisMachine } from "../cli/machine.js";
import type { SamplerOptions } from "../runtime/sampling/options.js";
import { createRandom } from "../runtime/sampling/random.js";
import { createSampler } from "../runtime/sampling/sampler.js";
import { measureInTurn } from "./measure.js";

const vocabSize = 32_000;
/** The tokens that penalties look back on: a page of text. */
const tokens = Array.from({ length: 1000 }, (_, i) => (i * i * 31) % vocabSize);

/** As a model gives them in the middle of a word or not: a broad bell, and a few that stand out. */
function peaked(): Float32Array {
  const random = createRandom(1);
  const bell = () => Array.from({ length: 12 }, random).reduce((sum, x) => sum + x - 0.5, 0);
  const logits = Float32Array.from({ length: vocabSize }, () => 2.2 * bell() - 4);
  for (let i = 0; i < 30; i++) logits[Math.floor(random() * vocabSize)] = 14 - i / 2;
  return logits;
}

/** The worst that can come: nothing can be left out early. */
function flat(): Float32Array {
  const random = createRandom(2);
  return Float32Array.from({ length: vocabSize }, random);
}

const off = { temperature: 0.8, topK: 0, topP: 1 } as const;
const cases: Readonly<Record<string, SamplerOptions>> = {
  "temperature 0": { temperature: 0 },
  "the defaults: topK 40, topP 0.95": {},
  "temperature alone": off,
  "topK 40": { ...off, topK: 40 },
  "topP 0.95": { ...off, topP: 0.95 },
  "minP 0.05": { ...off, minP: 0.05 },
  "typicalP 0.95": { ...off, typicalP: 0.95 },
  "topNSigma 1": { ...off, topNSigma: 1 },
  "xtc, always": { ...off, xtc: { probability: 1 } },
  mirostat: { ...off, mirostat: {} },
  "the three penalties": { repetitionPenalty: 1.1, frequencyPenalty: 0.1, presencePenalty: 0.1 },
  "dry, 1000 tokens": { dry: {} },
  "all but mirostat": {
    repetitionPenalty: 1.1,
    frequencyPenalty: 0.1,
    presencePenalty: 0.1,
    dry: {},
    logitBias: { 5: -Infinity },
    topNSigma: 3,
    typicalP: 0.95,
    minP: 0.05,
    xtc: {},
  },
};

const { values } = parseArgs({ options: { seconds: { type: "string", default: "1" } } });
console.log(describeMachine(thisMachine()));
const samplers = Object.values(cases).map((options) =>
  createSampler({ ...options, seed: 1 }, { vocabSize, textOf: (id) => (id % 50 ? "word" : "\n") }),
);
const [onPeaked, onFlat] = [peaked(), flat()].map((logits) =>
  measureInTurn(
    samplers.map((sample) => () => sample(logits, tokens)),
    Number(values.seconds),
  ),
);
console.log(`${"microseconds, medians".padEnd(36)}peaked  flat`);
for (const [i, name] of Object.keys(cases).entries()) {
  const [a, b] = [onPeaked![i]!, onFlat![i]!].map(({ median }) => (1000 * median).toFixed(0).padStart(6));
  console.log(`${name.padEnd(36)}${a}${b}`);
}
const rows = Object.keys(cases).map((name, i) => ({ name, peaked: onPeaked![i], flat: onFlat![i] }));
console.log(JSON.stringify({ machine: thisMachine(), rows }));
