// Does a GGUF that cria wrote (cria convert, cria quantize) load in llama.cpp, and give the ids and greedy tokens there that it gives
// here? Where quantized activations decide a narrow choice the other way, the gap between the two logits says how narrow.
//
//     npm run converted -- FILE.gguf ...

import { load, type Model } from "../../runtime/index.js";
import { greedy } from "../../runtime/sampling/greedy.js";
import { type LlamaCpp, openLlamaCpp, versions } from "./llama-cpp.js";

const PROMPT = "Once upon a time, there was a little   dog";
const TOKENS = 64;

interface Row {
  readonly file: string;
  /** Whether both make the same ids of the prompt; undefined where the model has no vocabulary. */
  readonly sameIds: boolean | undefined;
  /** Positions that were compared, and at which both have the same likeliest token after the same ids. */
  readonly compared: number;
  readonly sameTop: number;
  /** Where they differ, the largest gap between our logits of the two. */
  readonly widestGap: number;
}

console.log(`${await versions()}; ${TOKENS} greedy tokens after "${PROMPT}"`);
for (const file of process.argv.slice(2)) {
  const row = await compare(file);
  const ids = row.sameIds === undefined ? "no vocabulary" : row.sameIds ? "same ids" : "OTHER IDS";
  console.log(
    `${file}: loads, ${ids}, same likeliest token at ${row.sameTop} of ${row.compared}, widest gap ${row.widestGap.toPrecision(3)}`,
  );
  if (row.sameIds === false || row.sameTop < 0.9 * row.compared) process.exitCode = 1;
}
process.exit(); // llama.cpp's threads would keep the process alive

async function compare(file: string): Promise<Row> {
  await using model = await load(file);
  const contextLength = Math.min(model.contextLength, 256);
  const peer = await openLlamaCpp(file, model.config.vocabSize, contextLength);
  try {
    const prompt = promptOf(model);
    const sameIds = prompt && String(prompt.slice(1)) === String(peer.tokenize(PROMPT));
    return { file, sameIds, ...(await compareTokens(model, peer, prompt ?? [1, 5, 2, 6])) };
  } finally {
    await peer.close();
  }
}

function promptOf(model: Model): number[] | undefined {
  try {
    return model.tokenize(PROMPT);
  } catch {
    return undefined;
  }
}

/** Both are fed the tokens that cria writes. */
async function compareTokens(
  model: Model,
  peer: LlamaCpp,
  prompt: readonly number[],
): Promise<Omit<Row, "file" | "sameIds">> {
  const compared = Math.min(TOKENS, model.contextLength - prompt.length);
  const ids = [...prompt];
  let theirs = (await peer.logitsOf(prompt)).at(-1)!;
  let sameTop = 0;
  let widestGap = 0;
  for (let i = 0; i < compared; i++) {
    for await (const ours of model.logits(ids)) {
      const chosen = greedy(ours);
      const other = greedy(theirs);
      if (chosen === other) sameTop++;
      else widestGap = Math.max(widestGap, ours[chosen]! - ours[other]!);
      ids.push(chosen);
      theirs = await peer.step(chosen);
    }
  }
  return { compared, sameTop, widestGap };
}
