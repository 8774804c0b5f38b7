import { openModelTokenizer } from "../runtime/index.js";
import type { Tokenizer } from "../tokenizer/index.js";
import { type OptionTable, onePositional, parseArguments, UsageError } from "./arguments.js";
import { write } from "./output.js";

const options = {
  text: { type: "string" },
  lines: { type: "boolean" },
  bos: { type: "boolean" },
  pieces: { type: "boolean" },
  decode: { type: "boolean" },
} as const satisfies OptionTable;

const help = `cria tokenize FILE [--text TEXT] [--lines] [--bos] [--pieces]
cria tokenize FILE --decode [--text IDS] [--lines]

Turns text into token ids, separated by spaces, or ids into text. FILE is a model, a SentencePiece model, or a llama2.c
tokenizer.bin.

  --text TEXT  what to turn (default: all of standard input, as one text)
  --lines      each line by itself, a line for each; lines end at \\n and nothing else
  --bos        put the beginning-of-text id in front
  --pieces     the pieces instead of their ids
  --decode     the other way: ids, separated by spaces or commas, to text. The text is written as it is; a terminal gets
               a line's end after it
`;

export const tokenizeCommand = {
  doing: "tokenize",
  summary: "turn text into token ids, or ids into text",
  help,
  execute,
};

async function execute(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArguments(args, options);
  if (values.help) return write(help);
  if (values.decode && (values.bos || values.pieces)) {
    throw new UsageError(`--${values.bos ? "bos" : "pieces"}: expected only without --decode, found both`);
  }
  const path = onePositional(positionals, "model or tokenizer", "; a text is given with --text");
  if (!path)
    throw new UsageError('expected a model or tokenizer, found none: cria tokenize FILE --text "Hello"');

  const tokenizer = await openModelTokenizer(path);
  const convert = values.decode ? decoding(tokenizer) : encoding(tokenizer, values);
  const input = values.text === undefined ? process.stdin : [Buffer.from(values.text)];
  if (values.lines) await convertLines(input, convert);
  else {
    const text = convert(await readAll(input));
    // decoding gives back the very text that was encoded, which a line's end would not be part of
    await write(values.decode && !process.stdout.isTTY ? text : `${text}\n`);
  }
}

function encoding(
  tokenizer: Tokenizer,
  { bos, pieces }: { readonly bos?: boolean; readonly pieces?: boolean },
): (text: Uint8Array) => string {
  return (text) => {
    const ids = tokenizer.encode(text, { bos });
    return (pieces ? ids.map((id) => tokenizer.piece(id)) : ids).join(" ");
  };
}

function decoding(tokenizer: Tokenizer): (text: Uint8Array) => string {
  return (text) => {
    const words = new TextDecoder().decode(text).split(/[\s,]+/);
    const ids = words.filter(Boolean).map((word) => {
      const id = Number(word);
      if (!/^\d+$/.test(word) || id >= tokenizer.vocabSize) {
        const last = tokenizer.vocabSize - 1;
        throw new RangeError(
          `Cannot decode: expected token ids from 0 to ${last}, found ${JSON.stringify(word)}`,
        );
      }
      return id;
    });
    return tokenizer.decode(ids);
  };
}

type Input = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

async function readAll(input: Input): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of input) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** A line of output for each line of input. Memory holds a chunk of the input, its output, and the longest line. */
async function convertLines(input: Input, convert: (line: Uint8Array) => string): Promise<void> {
  const lineFeed = 10;
  let lineNumber = 0;
  const numbered = (line: Uint8Array): string => {
    lineNumber++;
    try {
      return `${convert(line)}\n`;
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      throw new RangeError(`${cause.message} in line ${lineNumber}`, { cause });
    }
  };

  let begun: Uint8Array[] = []; // the pieces of a line whose end has not come
  for await (const chunk of input) {
    let lines = "";
    let start = 0;
    try {
      for (let end = chunk.indexOf(lineFeed); end >= 0; end = chunk.indexOf(lineFeed, start)) {
        const rest = chunk.subarray(start, end);
        lines += numbered(begun.length ? Buffer.concat([...begun, rest]) : rest);
        begun = [];
        start = end + 1;
      }
    } finally {
      if (lines) await write(lines); // also those before a line that cannot be converted
    }
    if (start < chunk.length) begun.push(chunk.subarray(start));
  }
  if (begun.length) await write(numbered(Buffer.concat(begun)));
}
