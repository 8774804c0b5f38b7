import type { Model } from "../runtime/index.js";
import { fileName, integer, type OptionTable, parseArguments, tokenIds, UsageError } from "./arguments.js";
import {
  loadModel,
  loadOptions,
  modelArgument,
  modelOptions,
  modelOptionsHelp,
  modelSource,
  pieces,
} from "./model-options.js";
import { interruptSignal, write } from "./output.js";
import { table } from "./table.js";
import { writeFileAtOnce } from "./write-file.js";

const options = {
  prompt: { type: "string", short: "p" },
  tokens: { type: "string" },
  all: { type: "boolean" },
  output: { type: "string", short: "o" },
  top: { type: "string" },
  json: { type: "boolean" },
  ...modelOptions,
} as const satisfies OptionTable;

const help = `cria logits MODEL (-p TEXT | --tokens IDS) [--all] [-o FILE]
cria logits MODEL (-p TEXT | --tokens IDS) --top K [--json]

Computes what the model expects after a text: the logits of the last position, as float32 in little-endian order, one for each
piece of the vocabulary.

  -p, --prompt TEXT    the text
  --tokens IDS         token ids instead, between commas; nothing is added to them
  --all                the logits of every position, one after the other
  -o, --output FILE    where to write (default: standard output, unless that is a terminal); FILE appears when it is complete
  --top K              show the K likeliest pieces instead: id, piece, probability, logit, and a bar, the likeliest's
                       the longest
  --json               with --top, one JSON object: promptTokens, top${modelOptionsHelp}
`;

export const logitsCommand = { doing: "compute logits", summary: "compute a text's logits", help, execute };

async function execute(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArguments(args, options);
  if (values.help) return write(help);
  const ids = tokenIds("--tokens", values.tokens);
  if ((ids === undefined) === (values.prompt === undefined)) {
    throw new UsageError(`expected -p or --tokens, found ${ids ? "both" : "neither"}`);
  }
  const top = integer("--top", values.top, 1);
  const output = fileName("-o", values.output);
  const loading = loadOptions(values);
  if (top !== undefined && (values.all || output)) {
    throw new UsageError(`--top: expected without ${output ? "-o" : "--all"}, found both`);
  }
  if (values.json && top === undefined) throw new UsageError("--json: expected with --top, found without");
  const path = modelArgument(positionals, "logits", 'MODEL -p "Once upon a time" --top 10');
  if (top === undefined && output === undefined && process.stdout.isTTY) {
    throw new UsageError("expected -o FILE, --top K or a pipe, found a terminal, which cannot show bytes");
  }

  const signal = interruptSignal();
  const { model } = await loadModel(modelSource(path, values), { ...loading, signal });
  const prompt = ids ?? model.tokenize(values.prompt!);
  const rows = model.logits(prompt, values.all ? { from: 0, signal } : { signal });
  if (top !== undefined) {
    for await (const row of rows) await showTop(model, prompt, likeliest(row, top), values.json);
  } else if (output !== undefined) {
    await writeFileAtOnce(output, async (file) => {
      for await (const row of rows) await file.write(bytesOf(row));
    });
  } else {
    for await (const row of rows) await write(bytesOf(row));
  }
}

/** The bytes of float32 numbers, which are little-endian in memory wherever the kernels run. */
function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

interface Candidate {
  readonly id: number;
  readonly probability: number;
  readonly logit: number;
}

/** The `count` largest logits, of equal ones the lower id first, with their share of the softmax over all. */
function likeliest(logits: Float32Array, count: number): Candidate[] {
  const largest = logits.reduce((most, logit) => Math.max(most, logit), -Infinity);
  // Math.exp may differ in the last digit between engines: this is for people, and nothing is drawn by it
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - largest), 0);
  return Array.from(logits, (logit, id) => ({ id, logit, probability: Math.exp(logit - largest) / sum }))
    .sort((a, b) => b.logit - a.logit || a.id - b.id)
    .slice(0, count);
}

async function showTop(
  model: Model,
  promptTokens: readonly number[],
  candidates: readonly Candidate[],
  json: boolean | undefined,
): Promise<void> {
  const piece = pieces(model);
  const top = candidates.map(({ id, probability, logit }) => ({ id, piece: piece(id), probability, logit }));
  if (json) return write(`${JSON.stringify({ promptTokens, top })}\n`);
  const rows = top.map(({ id, piece, probability, logit }) => [
    String(id),
    piece ?? "-",
    probability.toFixed(6),
    logit.toFixed(4),
    bar(probability / top[0]!.probability),
  ]);
  await write(table([["id", "piece", "probability", "logit", ""], ...rows], "rlrrl"));
}

/** A bar of up to 32 characters, in steps of an eighth of one. */
function bar(share: number): string {
  const eighths = Math.round(share * 32 * 8);
  return "█".repeat(eighths >> 3) + " ▏▎▍▌▋▊▉"[eighths & 7]!.trim();
}
