import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { type OptionTable, parseArguments, UsageError } from "./arguments.js";
import { loadModel, loadOptions, modelOptions, modelOptionsHelp, modelSource } from "./model-options.js";
import { grouped, interruptSignal, progressLine, write } from "./output.js";

const options = {
  json: { type: "boolean" },
  ...modelOptions,
} as const satisfies OptionTable;

const help = `cria perplexity MODEL FILE [--json] [options]

Measures how well a model predicts the text in a file: the lower, the better. MODEL may be "tiny", the bundled one. The text is
cut into windows of the context's length, half of it apart, each with the beginning-of-text id in front; in the first window
every token is scored, in the others the new half. Bits per byte compare models with different vocabularies, perplexity those
with the same one.

  --json               one JSON object: bitsPerByte, perplexity, tokens, bytes${modelOptionsHelp}
`;

export const perplexityCommand = {
  doing: "measure perplexity",
  summary: "measure how well a model predicts a text",
  help,
  execute,
};

async function execute(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArguments(args, options);
  if (values.help) return write(help);
  const [path, file, ...more] = positionals;
  if (path === undefined || file === undefined || more.length) {
    throw new UsageError(`expected a model and a text file, found ${positionals.length} names`);
  }
  const loading = loadOptions(values);
  const text = await readText(file);

  const signal = interruptSignal();
  const { model } = await loadModel(modelSource(path, values), { ...loading, signal });
  const line = progressLine();
  const began = performance.now();
  try {
    const result = await model.perplexity(text, {
      signal,
      onProgress({ loaded, total }) {
        const seconds = (performance.now() - began) / 1000;
        line.show(progress(loaded / total, (seconds * (total - loaded)) / loaded));
      },
    });
    line.clear();
    await write(values.json ? `${JSON.stringify(result)}\n` : readable(result));
  } finally {
    line.clear();
  }
}

/** Longer texts are refused: the tokenizer takes no more at once, and a device such as /dev/zero has no end. */
const MAX_TEXT_BYTES = 2 ** 28;

/** A text for `Model.perplexity`. */
export async function readText(file: string): Promise<Uint8Array> {
  if ((await stat(file)).isDirectory()) {
    throw new TypeError(`Cannot read ${file}: expected a text file, found a directory`);
  }
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of createReadStream(file)) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MAX_TEXT_BYTES) {
      throw new RangeError(
        `Cannot read ${file}: expected a text of at most ${grouped(MAX_TEXT_BYTES)} bytes, found more`,
      );
    }
  }
  return Buffer.concat(chunks);
}

/** `[#########           ]  45 %, 12 s left` */
function progress(share: number, secondsLeft: number): string {
  const width = 30;
  const bar = "#".repeat(Math.floor(share * width)).padEnd(width);
  return `[${bar}] ${String(Math.floor(share * 100)).padStart(3)} %, ${Math.ceil(secondsLeft)} s left`;
}

function readable(result: {
  readonly bitsPerByte: number;
  readonly perplexity: number;
  readonly tokens: number;
  readonly bytes: number;
}): string {
  const { bitsPerByte, perplexity, tokens, bytes } = result;
  return `${bitsPerByte.toFixed(4)} bits per byte, perplexity ${perplexity.toFixed(3)} (${grouped(tokens)} tokens, ${grouped(bytes)} bytes)\n`;
}
