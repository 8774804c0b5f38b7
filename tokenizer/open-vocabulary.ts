import { readVocabularyData } from "./formats/vocabulary-data.js";
import { asInLlamaCpp, type TokenizerModel } from "./model.js";
import { restrictTo } from "./restrict.js";
import { SentencePieceTokenizer } from "./sentencepiece.js";
import type { OpenOptions, Tokenizer, VocabularyData } from "./tokenizer.js";

/** What errors call a vocabulary without a name. */
export const unnamed = "the vocabulary";

/** Opens a vocabulary as plain data: openTokenizer without the readers of files, for who has read them. Throws as it does. */
export function openVocabulary(source: VocabularyData, options: OpenOptions = {}): Tokenizer {
  return createTokenizer(readVocabularyData(source, options.name ?? unnamed), options);
}

/** The tokenizer of a vocabulary that has been read. */
export function createTokenizer(
  model: TokenizerModel,
  { conventions, vocabulary, unigramTies }: OpenOptions,
): Tokenizer {
  const restricted = vocabulary ? restrictTo(vocabulary, model) : model;
  return new SentencePieceTokenizer(
    conventions === "llama.cpp" ? asInLlamaCpp(restricted) : restricted,
    unigramTies,
  );
}
