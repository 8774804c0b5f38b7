// Does cria draw from the distributions that llama.cpp draws from? llama.cpp tells the probabilities after its chain of samplers,
// on a real model (stories260K in ../shared/data), and cria draws 100,000 times from the same logits. Of llama.cpp's steps these
// are those that node-llama-cpp exposes: bias, penalties, top-k, top-p, min-p, XTC, temperature. (It has DRY too, but in our runs of
// version 3.22.1 the probabilities stayed what they are without.)
//
//   npm run sampling -- [--record FILE]     the file is the one that the sampler's tests compare with

import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { getLlama, LlamaLogLevel, type SequenceEvaluateOptions, type Token, TokenBias } from "node-llama-cpp";
import { openModelTokenizer } from "../../runtime/index.js";
import type { SamplerOptions } from "../../runtime/sampling/options.js";
import { compareDraws, type Distribution } from "../../test/llama-cpp-distributions.js";
import { versions } from "./llama-cpp.js";

const { values } = parseArgs({ options: { record: { type: "string" } } });
// from bench/peers/dist/bench/peers, where this is compiled to
const path = fileURLToPath(
  new URL("../../../../../../shared/data/models/stories260K/stories260K.gguf", import.meta.url),
);
const tokenizer = await openModelTokenizer(path);
const llama = await getLlama({ gpu: false, build: "never", logLevel: LlamaLogLevel.error });
const model = await llama.loadModel({ modelPath: path });
const context = await model.createContext({ contextSize: 256, flashAttention: false, threads: 1 });
const sequence = context.getSequence();

const bos = 1 as Token;
const encode = (text: string) => tokenizer.encode(text) as Token[];
const off = { topK: 0, topP: 1, minP: 0, temperature: 1 } as const;

/** A case in both languages. The text is what has been written. */
interface Case {
  readonly name: string;
  readonly text: string;
  readonly cria: SamplerOptions;
  readonly llamaCpp: SequenceEvaluateOptions;
}

function alike(name: string, options: SequenceEvaluateOptions & SamplerOptions): Case {
  const all = { ...off, ...options };
  return { name, text: "One day, the big", cria: all as SamplerOptions, llamaCpp: all };
}

const lily = "Lily saw a cat. Lily saw a dog. Lily saw a";
/** llama.cpp is told which tokens to penalize; cria takes the last ones. */
const lastEight = [bos, ...encode(lily)].slice(-8);
const biased = [...encode(" dog"), ...encode(" ball"), ...encode(" big")] as [Token, Token, Token];

const cases: readonly Case[] = [
  alike("top-k, temperature", { topK: 40, temperature: 0.6 }),
  alike("top-k", { topK: 7, temperature: 1.3 }),
  alike("top-p", { topP: 0.8, temperature: 1.5 }),
  alike("min-p", { minP: 0.05, temperature: 2 }),
  alike("top-k, XTC", { topK: 40, xtc: { probability: 1, threshold: 0.05 } }),
  alike("top-k, top-p, min-p, XTC, temperature", {
    topK: 20,
    topP: 0.7,
    minP: 0.1,
    xtc: { probability: 1, threshold: 0.15 },
    temperature: 0.7,
  }),
  {
    name: "bias, top-k",
    text: lily,
    cria: { ...off, topK: 40, logitBias: { [biased[0]]: 1.5, [biased[1]]: -0.5, [biased[2]]: -50 } },
    llamaCpp: {
      ...off,
      topK: 40,
      tokenBias: new TokenBias(model.tokenizer)
        .set(biased[0], { logit: 1.5 })
        .set(biased[1], { logit: -0.5 })
        .set(biased[2], { logit: -50 }),
    },
  },
  {
    name: "penalties, top-k",
    text: lily,
    cria: {
      ...off,
      topK: 40,
      repetitionPenalty: 1.2,
      frequencyPenalty: 0.3,
      presencePenalty: 0.2,
      penaltyLastN: 8,
    },
    llamaCpp: {
      ...off,
      topK: 40,
      repeatPenalty: { punishTokens: lastEight, penalty: 1.2, frequencyPenalty: 0.3, presencePenalty: 0.2 },
    },
  },
];

/** Logits of the next token, as they come from the model. */
async function logitsAfter(tokens: readonly Token[]): Promise<number[]> {
  await sequence.clearHistory();
  const answers = await sequence.controlledEvaluate(
    tokens.map((token, i) =>
      i < tokens.length - 1
        ? token
        : [token, { generateNext: { logits: true, options: { temperature: 0 } } }],
    ),
  );
  const logits: number[] = [];
  for (const [id, logit] of answers.at(-1)!.next.logits!) logits[id] = Number(logit.toPrecision(9)); // f32 as it is;
  return logits;
}

/** Probabilities of the next token after llama.cpp's steps. */
async function probabilitiesAfter(
  tokens: readonly Token[],
  options: SequenceEvaluateOptions,
): Promise<[number, number][]> {
  await sequence.clearHistory();
  const answers = await sequence.controlledEvaluate(
    tokens.map((token, i) =>
      i < tokens.length - 1 ? token : [token, { generateNext: { probabilities: true, options } }],
    ),
  );
  return [...answers.at(-1)!.next.probabilities!]
    .filter(([, probability]) => probability > 0)
    .map(([id, probability]) => [id, Number(probability.toPrecision(7))]);
}

const logits: Record<string, number[]> = {};
const distributions: Distribution[] = [];
for (const { name, text, cria, llamaCpp } of cases) {
  const tokens = [bos, ...encode(text)];
  logits[text] ??= await logitsAfter(tokens);
  const probabilities = await probabilitiesAfter(tokens, llamaCpp);
  const distribution = { name, options: cria, text, tokens, probabilities };
  distributions.push(distribution);
  const { excess, strangers } = compareDraws(distribution, logits[text]);
  console.log(
    `${name.padEnd(40)} ${probabilities.length} tokens, excess ${excess.toFixed(2)}, strangers ${strangers.length}`,
  );
}
const recorded = { by: await versions(), logits, distributions };
console.log(recorded.by);
if (values.record) await writeFile(values.record, `${JSON.stringify(recorded)}\n`);
await model.dispose();
await llama.dispose();
