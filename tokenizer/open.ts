import { cannotOpen } from "./errors.js";
import { isGguf, readGguf } from "./formats/gguf.js";
import { isLlama2c, readLlama2c } from "./formats/llama2c.js";
import { readModelProto } from "./formats/model-proto.js";
import { readTokenizerJson } from "./formats/tokenizer-json.js";
import type { TokenizerModel } from "./model.js";
import { createTokenizer, openVocabulary, unnamed } from "./open-vocabulary.js";
import { isJson, recognize } from "./recognize.js";
import type { OpenOptions, Tokenizer, VocabularyData } from "./tokenizer.js";

/**
 * Opens a vocabulary: the bytes of a SentencePiece model (tokenizer.model), of a GGUF file or its beginning, or of
 * llama2.c's tokenizer.bin, or Hugging Face's tokenizer.json, told apart by what they hold; or a vocabulary as plain data.
 *
 * @throws TokenizerError for a vocabulary that is damaged or contradicts itself
 * @throws UnsupportedTokenizerError for one that is sound, but that this version would not tokenize exactly
 */
export function openTokenizer(source: Uint8Array | VocabularyData, options: OpenOptions = {}): Tokenizer {
  const name = options.name ?? unnamed;
  if (ArrayBuffer.isView(source)) return createTokenizer(readBytes(plain(source), name, options), options);
  if (!Array.isArray(source?.tokens)) {
    throw new TypeError(
      `Cannot open ${name}: expected a Uint8Array, or a vocabulary with an array of tokens`,
    );
  }
  return openVocabulary(source, options);
}

/**
 * Opens the bytes of a SentencePiece model (tokenizer.model), and nothing else: openTokenizer without the readers of the other forms, for
 * pages that count bytes. A bundle with it is a fifth smaller. Throws as openTokenizer does, and a TypeError for what is no Uint8Array.
 */
export function openSentencePiece(source: Uint8Array, options: OpenOptions = {}): Tokenizer {
  const name = options.name ?? unnamed;
  if (!ArrayBuffer.isView(source)) throw new TypeError(`Cannot open ${name}: expected a Uint8Array`);
  const bytes = plain(source);
  const mistaken = recognize(bytes) ?? otherForm(bytes);
  if (mistaken) throw cannotOpen(name, `expected a SentencePiece model, found ${mistaken}`);
  return createTokenizer(readModelProto(bytes, name, options.onWarning), options);
}

/** The bytes as a plain Uint8Array: Node's Buffer has a slice() that does not copy. */
function plain({ buffer, byteOffset, byteLength }: Uint8Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function readBytes(bytes: Uint8Array, name: string, options: OpenOptions): TokenizerModel {
  const mistaken = recognize(bytes);
  if (mistaken) throw cannotOpen(name, `expected a vocabulary, found ${mistaken}`);
  if (isGguf(bytes)) return readGguf(bytes, name);
  if (isLlama2c(bytes)) return readLlama2c(bytes, name);
  if (isJson(bytes)) return readTokenizerJson(bytes, name);
  // A ModelProto has no magic number, so that anything else is read as one.
  return readModelProto(bytes, name, options.onWarning);
}

/** A form of vocabularies that openTokenizer reads beside SentencePiece's. */
function otherForm(bytes: Uint8Array): string | undefined {
  if (isGguf(bytes)) return "a GGUF";
  if (isLlama2c(bytes)) return "a llama2.c tokenizer.bin";
  return isJson(bytes) ? "JSON" : undefined;
}
