// Do cria and llama.cpp compute the same? On llama models with random weights, which no one has tuned anything for: greedy tokens
// in F32, and the likeliest token position by position in quantized types. Where they differ, a forward pass in float64 says
// who is nearer, and how narrow the choice was.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { describeMachine, thisMachine } from "../../cli/machine.js";
import { isComputable } from "../../runtime/formats/ggml-types.js";
import { openCheckpoint } from "../../runtime/formats/open.js";
import { fileSource } from "../../runtime/formats/source.js";
import { forward } from "../../runtime/model/forward.js";
import { type Llama, loadLlama } from "../../runtime/model/llama.js";
import { greedy } from "../../runtime/sampling/greedy.js";
import { createRandom } from "../../runtime/sampling/random.js";
import { randomCheckpoint } from "../../test/random-model.js";
import { referenceLogits } from "../../test/reference-model.js";
import { checkpointToGguf, plainVocabulary } from "../../test/write-gguf.js";
import { type LlamaCpp, openLlamaCpp, versions } from "./llama-cpp.js";
import { type RandomModel, randomModels } from "./random-models.js";

/** Positions that the likeliest token is compared at, after the same ids. */
const POSITIONS = 256;
/** Ids that the greedy texts begin with, and tokens that follow. */
const PROMPT = 8;
const GREEDY_TOKENS = 64;
/** What a quantized model has to reach. */
const LEAST_AGREEMENT = 0.9;

interface Row {
  readonly model: string;
  readonly type: string;
  /** Greedy tokens that are equal before the first that is not. */
  readonly greedyEqual: number;
  /** Share of the positions at which both have the same likeliest token. */
  readonly agreement: number;
  /** The same of each with the float64 pass. */
  readonly criaRight: number;
  readonly llamaCppRight: number;
  /** Mean absolute error of the logits against float64, and between the two. */
  readonly criaError: number;
  readonly llamaCppError: number;
  readonly between: number;
  /** By float64, how far the likeliest logit is above the second: at the median position, and where the two disagree. */
  readonly medianMargin: number;
  readonly disagreedMargins: readonly number[];
}

const { values: options } = parseArgs({
  options: { types: { type: "string", default: "F32,Q8_0,Q4_0" } },
});
await main();

async function main(): Promise<void> {
  const types = options.types.split(",").map((type) => {
    if (isComputable(type)) return type;
    throw new RangeError(`--types: expected types that cria computes with, as Q8_0,Q4_K; found ${type}`);
  });
  const folder = await mkdtemp(join(tmpdir(), "cria-agree-"));
  const machine = thisMachine();
  const peer = await versions();
  console.log(`${peer} against cria; ${describeMachine(machine)}`);
  console.log(`${POSITIONS} positions; greedy texts of ${GREEDY_TOKENS} tokens after ${PROMPT} random ids`);
  console.log(
    "type  model                        greedy  top-1 |  right: cria  llama.cpp | mean error: cria  llama.cpp  between | margin: median  widest disagreed",
  );
  const rows: Row[] = [];
  try {
    for (const model of randomModels(types)) {
      const row = await compare(model, join(folder, "model.gguf"));
      console.log(printed(row));
      rows.push(row);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
  const failed = rows.filter(({ type, greedyEqual, agreement }) =>
    type === "F32" ? greedyEqual < GREEDY_TOKENS : agreement < LEAST_AGREEMENT,
  );
  console.log(explanation(types, rows));
  for (const { type, model } of failed) console.log(`NOT REACHED: ${type} ${model}`);
  if (failed.length) process.exitCode = 1;
  console.log(
    JSON.stringify({
      bench: "agree",
      peer,
      machine,
      positions: POSITIONS,
      failed: failed.length,
      rows,
    }),
  );
  process.exit(); // llama.cpp's threads would keep the process alive
}

/** Writes the model to `path`, loads it in both engines, and compares. */
async function compare({ heads, type, config, seed }: RandomModel, path: string): Promise<Row> {
  const { vocabSize, contextLength, dim, hiddenDim, headDim } = config;
  const made = randomCheckpoint({ config, type, seed });
  await writeFile(path, await checkpointToGguf(made, plainVocabulary(vocabSize)));
  const source = await fileSource(path);
  const llama = await loadLlama(await openCheckpoint(source), { contextLength });
  await source.close();
  const peer = await openLlamaCpp(path, vocabSize, contextLength);

  const random = createRandom(seed);
  const ids = Array.from({ length: POSITIONS }, () => Math.floor(random() * vocabSize));
  const ours = logitsOf(llama, ids);
  const theirs = await peer.logitsOf(ids);
  const exact = await referenceLogits(made, ids);
  const greedyEqual = await equalGreedyTokens(llama, peer, ids.slice(0, PROMPT));
  await peer.close();

  const tops = exact.map((logits, i) => [greedy(ours[i]!), greedy(theirs[i]!), topOf(logits)] as const);
  const margins = exact.map(marginOf);
  const share = (count: number) => count / POSITIONS;
  return {
    model: `${heads} head ${headDim}, ${dim}/${hiddenDim}`,
    type,
    greedyEqual,
    agreement: share(tops.filter(([a, b]) => a === b).length),
    criaRight: share(tops.filter(([a, , right]) => a === right).length),
    llamaCppRight: share(tops.filter(([, b, right]) => b === right).length),
    criaError: meanError(ours, exact),
    llamaCppError: meanError(theirs, exact),
    between: meanError(ours, theirs),
    medianMargin: margins.toSorted((a, b) => a - b)[POSITIONS / 2]!,
    disagreedMargins: margins.filter((_, i) => tops[i]![0] !== tops[i]![1]),
  };
}

/** cria's logits of every position, as prefill. */
function logitsOf(llama: Llama, ids: readonly number[]): Float32Array[] {
  const { vocabSize } = llama.config;
  const { batch } = llama.plan;
  const rows: Float32Array[] = [];
  for (let at = 0; at < ids.length; at += batch) {
    const chunk = ids.slice(at, at + batch);
    const logits = forward(llama, chunk, at, { logitsFrom: 0 });
    chunk.forEach((_, i) => {
      rows.push(logits.subarray(i * vocabSize, (i + 1) * vocabSize));
    });
  }
  return rows;
}

/** Both write a text token by token, each by its own logits; how many tokens are the same from the start. */
async function equalGreedyTokens(llama: Llama, peer: LlamaCpp, prompt: readonly number[]): Promise<number> {
  await peer.restart();
  let theirs = (await peer.logitsOf(prompt)).at(-1)!;
  let ours = logitsOf(llama, prompt).at(-1)!;
  for (let count = 0; ; count++) {
    const id = greedy(ours);
    if (count === GREEDY_TOKENS || id !== greedy(theirs)) return count;
    ours = forward(llama, [id], prompt.length + count);
    theirs = await peer.step(id);
  }
}

function topOf(logits: Float64Array): number {
  return logits.indexOf(Math.max(...logits));
}

/** How far the highest logit is above the next. */
function marginOf(logits: Float64Array): number {
  const [first, second] = logits.toSorted((a, b) => b - a);
  return first! - second!;
}

function meanError(found: readonly ArrayLike<number>[], expected: readonly ArrayLike<number>[]): number {
  let sum = 0;
  let count = 0;
  found.forEach((logits, i) => {
    for (let id = 0; id < logits.length; id++) sum += Math.abs(logits[id]! - expected[i]![id]!);
    count += logits.length;
  });
  return sum / count;
}

function printed(row: Row): string {
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  return [
    row.type.padEnd(5),
    row.model.padEnd(28),
    String(row.greedyEqual).padStart(6),
    percent(row.agreement).padStart(7),
    percent(row.criaRight).padStart(13),
    percent(row.llamaCppRight).padStart(10),
    row.criaError.toExponential(1).padStart(17),
    row.llamaCppError.toExponential(1).padStart(10),
    row.between.toExponential(1).padStart(8),
    row.medianMargin.toFixed(3).padStart(16),
    (row.disagreedMargins.length ? Math.max(...row.disagreedMargins).toFixed(4) : "-").padStart(17),
  ].join(" ");
}

/** Per type: how close the choices were where the two chose differently. */
function explanation(types: readonly string[], rows: readonly Row[]): string {
  const lines = types.map((type) => {
    const those = rows.filter((row) => row.type === type);
    const mean = (of: (row: Row) => number) => those.reduce((sum, row) => sum + of(row), 0) / those.length;
    const margins = those.flatMap(({ disagreedMargins }) => disagreedMargins);
    const disagreed = margins.length
      ? `${margins.length} disagreements, where the two highest logits are ${(margins.reduce((sum, margin) => sum + margin, 0) / margins.length).toFixed(4)} apart in the mean, ${Math.max(...margins).toFixed(4)} at most`
      : "no disagreements";
    return `${type}: ${those.length * POSITIONS} positions, ${disagreed} (elsewhere ${mean((row) => row.medianMargin).toFixed(3)}); mean logit error cria ${mean((row) => row.criaError).toExponential(2)}, llama.cpp ${mean((row) => row.llamaCppError).toExponential(2)}`;
  });
  return lines.join("\n");
}
