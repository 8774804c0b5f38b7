import { openTokenizer, type Tokenizer } from "../../tokenizer/index.js";
import { ModelError } from "../errors.js";
import { openGguf } from "../formats/gguf.js";
import { readVocabulary } from "../formats/gguf-vocabulary.js";
import { isLlama2c, llama2cHeadBytes } from "../formats/llama2c.js";
import type { Source } from "../formats/source.js";
import { openSource, type SourceLike } from "./sources.js";

/** The longest tokenizer file that is read: those of 256,000 pieces take 5 MB. */
const MAX_TOKENIZER_BYTES = 2 ** 28;

/**
 * The tokenizer in a file: a SentencePiece model, a llama2.c tokenizer.bin, or a GGUF of any architecture, of which only the header is
 * read. For a llama2.c checkpoint opened by its path it is the one in the file beside it.
 *
 * Throws a TokenizerError or FormatError for bytes that are none or a damaged one, a ModelError for a model without a vocabulary, and
 * the system's error when a file cannot be opened.
 */
export async function openModelTokenizer(from: SourceLike): Promise<Tokenizer> {
  const source = await openSource(from);
  try {
    const head = await source.read(0, Math.min(llama2cHeadBytes, source.size));
    if (!isLlama2c(head)) return await readTokenizer(source);
  } finally {
    await source.close();
  }
  return tokenizerBeside(from, source.name);
}

/** The tokenizer in a file that is not a llama2.c checkpoint. The source stays the caller's to close. */
export async function readTokenizer(source: Source): Promise<Tokenizer> {
  const { name, size } = source;
  const head = await source.read(0, Math.min(4, size));
  if (String.fromCharCode(...head) === "GGUF") {
    const gguf = await openGguf(source);
    const tokens = gguf.metadata.get("tokenizer.ggml.tokens");
    // the tokens are counted by themselves: a file that is a vocabulary only has no embedding to go with
    const { vocabulary } = readVocabulary(gguf, Array.isArray(tokens) ? tokens.length : 0);
    if (!vocabulary)
      throw new ModelError(`Cannot turn text into tokens: ${name} has no tokenizer.ggml.tokens`);
    return openTokenizer(vocabulary, { name });
  }
  if (size > MAX_TOKENIZER_BYTES) {
    throw new ModelError(
      `Cannot read ${name}: expected a tokenizer of at most ${MAX_TOKENIZER_BYTES} bytes, found ${size}`,
    );
  }
  return openTokenizer(await source.read(0, size), { name });
}

/**
 * The tokenizer.bin or tokenizer.model in the folder of a model opened by its path, where llama2.c keeps it. Throws a ModelError where
 * there is none.
 */
export async function tokenizerBeside(model: SourceLike, modelName: string): Promise<Tokenizer> {
  const file = await openBeside(model);
  if (!file) {
    throw new ModelError(
      `Cannot turn text into tokens: ${modelName} has no vocabulary; name a tokenizer file, or put it beside the model as tokenizer.bin or tokenizer.model`,
    );
  }
  try {
    return await readTokenizer(file);
  } finally {
    await file.close();
  }
}

async function openBeside(model: SourceLike): Promise<Source | undefined> {
  if (typeof model !== "string") return undefined;
  const folder = model.slice(0, Math.max(model.lastIndexOf("/"), model.lastIndexOf("\\")) + 1);
  for (const name of ["tokenizer.bin", "tokenizer.model"]) {
    try {
      return await openSource(folder + name);
    } catch {
      // not there: the next one
    }
  }
  return undefined;
}
