import { open, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { type Conversion, type ConvertOptions, convert } from "../runtime/index.js";
import { fileName, type OptionTable, parseArguments, UsageError } from "./arguments.js";
import { grouped, interruptSignal, note, printable, progressLine, progressText, write } from "./output.js";
import { writeFileAtOnce } from "./write-file.js";

const options = {
  tokenizer: { type: "string" },
  json: { type: "boolean" },
} as const satisfies OptionTable;

const help = `cria convert IN OUT [--tokenizer FILE] [--json]

Writes a model as one GGUF, weights in the types they have. IN is a folder in Hugging Face's form (config.json, safetensors) or
Meta's (params.json, consolidated.00.pth), a llama2.c checkpoint, or a GGUF, also the first of several parts. OUT appears when it is complete. The vocabulary is the model's own,
or that of the tokenizer.model, tokenizer.json or tokenizer.bin beside it.

  --tokenizer FILE  the vocabulary of another file
  --json            one JSON object: bytes, hasVocabulary, tensors
`;

export const convertCommand = {
  doing: "convert",
  summary: "write a model of any form as a GGUF",
  help,
  execute,
};

async function execute(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArguments(args, options);
  if (values.help) return write(help);
  const names = inAndOut(positionals);
  const conversion = await convertFile(names, { tokenizer: fileName("--tokenizer", values.tokenizer) });
  await write(values.json ? `${JSON.stringify(conversion)}\n` : summary(names.to, conversion));
}

export interface InAndOut {
  readonly from: string;
  readonly to: string;
}

export function inAndOut(positionals: readonly string[]): InAndOut {
  const [from, to, ...more] = positionals;
  if (from === undefined || to === undefined || more.length) {
    throw new UsageError(`expected a model and the name of the new file, found ${positionals.length} names`);
  }
  return { from, to };
}

/** Converts with progress for whoever watches. The new file is there when it is complete, and nothing of it before. */
export async function convertFile(
  { from, to }: InAndOut,
  options: Pick<ConvertOptions, "type" | "tokenizer">,
): Promise<Conversion> {
  await checkOutput(from, to);
  const signal = interruptSignal(); // from here on Ctrl-C removes what has been written
  const line = progressLine();
  try {
    const conversion = await writeFileAtOnce(to, (sink) =>
      convert(from, sink, {
        ...options,
        signal,
        onProgress: (progress) => line.show(progressText(progress)),
      }),
    );
    if (!conversion.hasVocabulary) {
      note("note: the new file has no vocabulary: the model has none, and there is no tokenizer beside it");
    }
    return conversion;
  } finally {
    line.clear();
  }
}

/** `out.gguf: 4,384 bytes, 21 tensors`. */
export function summary(path: string, { bytes, tensors }: Conversion): string {
  return `${printable(path)}: ${grouped(bytes)} bytes, ${tensors.length} tensors\n`;
}

/** What is there already is written over if it is a GGUF, and no part of what is being read. */
async function checkOutput(from: string, to: string): Promise<void> {
  const old = await stat(to).catch(() => undefined);
  if (!old?.isFile()) return;
  const refuse = (found: string) =>
    new TypeError(`Cannot write ${to}: expected a new name, or that of a GGUF to replace, found ${found}`);
  const source = await stat(from).catch(() => undefined);
  if (source && source.dev === old.dev && source.ino === old.ino) throw refuse("the model that is read");
  const isPart = /-\d{5}-of-\d{5}\.gguf$/;
  if (isPart.test(from) && isPart.test(to) && dirname(resolve(from)) === dirname(resolve(to))) {
    throw refuse("a part of a model");
  }
  if (old.size > 0 && (await firstBytes(to)) !== "GGUF") throw refuse("another kind of file");
}

async function firstBytes(path: string): Promise<string> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
    return buffer.toString("latin1", 0, bytesRead);
  } finally {
    await file.close();
  }
}
