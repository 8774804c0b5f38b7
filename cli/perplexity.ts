import { readFile } from "node:fs/promises";
import { type OptionTable, parseArguments, UsageError } from "./arguments.js";
import { loadModel, loadOptions, modelOptions, modelOptionsHelp } from "./model-options.js";
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
  const text = await readFile(file);

  const signal = interruptSignal();
  const { model } = await loadModel(path, { ...loading, signal });
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
