import type { Tokenizer } from "../../tokenizer/index.js";
import { openVocabulary } from "../../tokenizer/open-vocabulary.js";
import { besideNames } from "../engine/beside-names.js";
import type { ModelData } from "../engine/open-model.js";
import { readTokenizerData, readTokenizersBeside, type TokenizerData } from "../engine/tokenizer-data.js";
import { ModelError } from "../errors.js";
import { isLlama2c, llama2cHeadBytes } from "../formats/llama2c.js";
import { isSafetensors } from "../formats/safetensors.js";
import { isMainFile, type Source } from "../formats/source.js";
import { openSource, type SourceLike } from "./sources.js";

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
  return open(await readTokenizerData(source));
}

/**
 * The tokenizer in the folder of a model that has none of its own; where there are several, the first of `vocabSize` pieces.
 * Undefined where there is none.
 */
export async function findTokenizerBeside(model: Source, vocabSize?: number): Promise<Tokenizer | undefined> {
  return firstOfSize(await readTokenizersBeside(model), vocabSize);
}

async function tokenizerBeside(model: Source): Promise<Tokenizer> {
  const tokenizer = await findTokenizerBeside(model);
  if (tokenizer) return tokenizer;
  throw noneBeside(model.name);
}

/**
 * A function that gives the model's tokenizer, or throws a ModelError that says why it has none: that is an error only once text is needed.
 *
 * @param isAsked whether the caller has named the file: then it has to be right at once
 */
export async function modelTokenizer(
  data: ModelData,
  vocabSize: number,
  isAsked: boolean,
): Promise<() => Tokenizer> {
  const { name, tokenizers, problem } = data;
  try {
    if (problem) throw problem;
    const tokenizer = await firstOfSize(tokenizers, vocabSize);
    if (!tokenizer) throw noneBeside(name);
    const from = tokenizers.length === 1 ? tokenizers[0]!.name : `beside ${name}`;
    const right = fitting(tokenizer, from, { vocabSize, name });
    return () => right;
  } catch (cause) {
    if (isAsked) throw cause;
    return () => {
      if (cause instanceof ModelError) throw cause;
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new ModelError(`Cannot turn text into tokens with the vocabulary of ${name}: ${reason}`, {
        cause,
      });
    };
  }
}

/** The tokenizer, if it has as many pieces as the model; else throws a ModelError. */
export function fitting(
  tokenizer: Tokenizer,
  from: string,
  model: { readonly name: string; readonly vocabSize: number },
): Tokenizer {
  if (tokenizer.vocabSize === model.vocabSize) return tokenizer;
  throw new ModelError(
    `Cannot use the tokenizer ${from}: expected ${model.vocabSize} pieces, as ${model.name} has, found ${tokenizer.vocabSize}`,
  );
}

async function open({ content, name }: TokenizerData): Promise<Tokenizer> {
  if (!ArrayBuffer.isView(content)) return openVocabulary(content, { name });
  // not with this module: the readers of other files, which a GGUF does without
  const { openTokenizer } = await import("../../tokenizer/index.js");
  return openTokenizer(content, { name });
}

/** The first of `vocabSize` pieces; where none is, the first. */
async function firstOfSize(
  all: readonly TokenizerData[],
  vocabSize: number | undefined,
): Promise<Tokenizer | undefined> {
  let first: Tokenizer | undefined;
  for (const data of all) {
    const tokenizer = await open(data);
    if (vocabSize === undefined || tokenizer.vocabSize === vocabSize) return tokenizer;
    first ??= tokenizer;
  }
  return first;
}

function noneBeside(name: string): ModelError {
  return new ModelError(
    `Cannot turn text into tokens: ${name} has no vocabulary; name a tokenizer file, or put it beside the model as ${besideNames.join(", ")}`,
  );
}
