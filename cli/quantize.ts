import { type Conversion, type ConvertType, load } from "../runtime/index.js";
import { fileName, type OptionTable, oneOf, parseArguments, UsageError } from "./arguments.js";
import { convertFile, inAndOut, summary } from "./convert.js";
import { interruptSignal, progressLine, write } from "./output.js";
import { readText } from "./perplexity.js";
import { table } from "./table.js";

const options = {
  type: { type: "string" },
  perplexity: { type: "string" },
  tokenizer: { type: "string" },
  json: { type: "boolean" },
} as const satisfies OptionTable;

const types: readonly ConvertType[] = ["q8_0", "q4_0", "q4_1", "q4_k", "q6_k", "f16"];

const help = `cria quantize IN OUT --type TYPE [--perplexity FILE] [--tokenizer FILE] [--json]

Writes a model of any form with its matrices in another type, as a GGUF, and how far the new weights are from the old ones: the root
of the mean squared error (RMSE), that in percent of the weights' own size, and the largest error. OUT appears when it is complete.
Norms stay F32. The classifier of a model of four bits becomes Q6_K. A matrix whose rows are no multiple of the type's block (32,
for q4_k and q6_k 256) becomes Q8_0, or F16.

  --type TYPE        ${types.join(", ")}
  --perplexity FILE  how well the model predicts the text in FILE before and after
  --tokenizer FILE   the vocabulary of another file
  --json             one JSON object: bytes, hasVocabulary, tensors, and with --perplexity before and after
`;

export const quantizeCommand = {
  doing: "quantize",
  summary: "write a model with its weights in fewer bits",
  help,
  execute,
};

async function execute(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArguments(args, options);
  if (values.help) return write(help);
  const names = inAndOut(positionals);
  const type = oneOf("--type", values.type, types);
  if (!type) throw new UsageError(`expected --type ${types.join(", ")}, found none`);
  const textFile = fileName("--perplexity", values.perplexity);
  const tokenizer = fileName("--tokenizer", values.tokenizer);
  const text = textFile === undefined ? undefined : await readText(textFile);

  const conversion = await convertFile(names, { type, tokenizer });
  if (!values.json) await write(errorTable(conversion) + summary(names.to, conversion));
  const change = text && {
    before: await perplexityOf(names.from, text, tokenizer),
    after: await perplexityOf(names.to, text, tokenizer),
  };
  if (values.json) await write(`${JSON.stringify({ ...conversion, perplexity: change })}\n`);
  else if (change) {
    const percent = 100 * (change.after / change.before - 1);
    const sign = percent < 0 ? "" : "+";
    await write(
      `perplexity: ${change.before.toFixed(4)} before, ${change.after.toFixed(4)} after (${sign}${percent.toFixed(2)} %)\n`,
    );
  }
}

function errorTable({ tensors }: Conversion): string {
  const rows = tensors.map(({ name, from, to, errors }) => {
    if (!errors) return [name, from, to, "", "", ""];
    const { rmse, max, rms } = errors;
    const percent = rms === 0 ? "" : ((100 * rmse) / rms).toFixed(3);
    return [name, from, to, rmse.toExponential(3), percent, max.toExponential(3)];
  });
  return table([["tensor", "from", "to", "RMSE", "%", "largest"], ...rows], "lllrrr");
}

async function perplexityOf(path: string, text: Uint8Array, tokenizer: string | undefined): Promise<number> {
  const signal = interruptSignal();
  const line = progressLine();
  const model = await load(path, { tokenizer, signal });
  try {
    const { perplexity } = await model.perplexity(text, {
      signal,
      onProgress: ({ loaded, total }) =>
        line.show(`perplexity of ${path}: ${Math.floor((100 * loaded) / total)} %`),
    });
    return perplexity;
  } finally {
    line.clear();
    await model.dispose();
  }
}
