import { openTokenizer, type Tokenizer } from "../../tokenizer/index.js";
import { ModelError } from "../errors.js";
import type { Checkpoint } from "../formats/checkpoint.js";
import { openGguf } from "../formats/gguf.js";
import { readVocabulary } from "../formats/gguf-vocabulary.js";
import { isLlama2c, llama2cHeadBytes } from "../formats/llama2c.js";
import { isSafetensors } from "../formats/safetensors.js";
import { isMainFile, type Source } from "../formats/source.js";
import { openSource, type SourceLike } from "./sources.js";

/** The longest tokenizer file that is read: those of 256,000 pieces take 5 MB. */
const MAX_TOKENIZER_BYTES = 2 ** 28;

/**
 * The tokenizer in a file: a SentencePiece model, a tokenizer.json, a llama2.c tokenizer.bin, or a GGUF of any architecture, of which
 * only the header is read. For a model whose tokenizer is a file of its own (llama2.c, a folder in Hugging Face's or Meta's form) it is the one
 * in the file beside it.
 *
 * Throws a TokenizerError or FormatError for bytes that are none or a damaged one, a ModelError for a model without a vocabulary, and
 * the system's error when a file cannot be opened.
 */
export async function openModelTokenizer(from: SourceLike): Promise<Tokenizer> {
  const source = await openSource(from);
  try {
    const head = await source.read(0, Math.min(llama2cHeadBytes, source.size));
    const isBeside =
      isLlama2c(head) || isSafetensors(head) || isMainFile(source) || source.name.endsWith(".pth");
    return isBeside ? await tokenizerBeside(source) : await readTokenizer(source);
  } finally {
    await source.close();
  }
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

/** In llama2.c's folders the first, in Hugging Face's and Meta's the others. */
const besideNames = ["tokenizer.bin", "tokenizer.model", "tokenizer.json"];

/**
 * The tokenizer in the folder of a model that has none of its own; where there are several, the first of `vocabSize` pieces.
 * Undefined where there is none.
 */
export async function findTokenizerBeside(model: Source, vocabSize?: number): Promise<Tokenizer | undefined> {
  let first: Tokenizer | undefined;
  for (const name of besideNames) {
    const file = await model.sibling?.(name);
    if (!file) continue;
    const tokenizer = await readTokenizer(file);
    if (vocabSize === undefined || tokenizer.vocabSize === vocabSize) return tokenizer;
    first ??= tokenizer;
  }
  return first;
}

/** Like findTokenizerBeside. Throws a ModelError where there is none. */
export async function tokenizerBeside(model: Source, vocabSize?: number): Promise<Tokenizer> {
  const tokenizer = await findTokenizerBeside(model, vocabSize);
  if (tokenizer) return tokenizer;
  throw new ModelError(
    `Cannot turn text into tokens: ${model.name} has no vocabulary; name a tokenizer file, or put it beside the model as ${besideNames.join(", ")}`,
  );
}

/** The tokenizer, if it has as many pieces as the model; else throws a ModelError. */
export function fitting(tokenizer: Tokenizer, name: string, { config, source }: Checkpoint): Tokenizer {
  if (tokenizer.vocabSize === config.vocabSize) return tokenizer;
  throw new ModelError(
    `Cannot use the tokenizer ${name}: expected ${config.vocabSize} pieces, as ${source.name} has, found ${tokenizer.vocabSize}`,
  );
}
