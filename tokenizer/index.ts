/**
 * cria/tokenizer: SentencePiece for Llama 2, in plain TypeScript, for browsers and Node, on its own.
 *
 *     import { openTokenizer } from "cria/tokenizer";
 *     const tokenizer = openTokenizer(bytes);          // tokenizer.model, GGUF, tokenizer.bin, tokenizer.json
 *     tokenizer.encode("Hello world", { bos: true });  // [1, 15043, 3186]
 */
export { TokenizerError, UnsupportedTokenizerError } from "./errors.js";
export { openSentencePiece, openTokenizer } from "./open.js";
export type {
  DecodeOptions,
  EncodedPiece,
  EncodeOptions,
  ExtraOption,
  NBestEncoding,
  OpenOptions,
  SampleOptions,
  StreamDecoder,
  StreamOptions,
  Tokenizer,
  UnigramTies,
  VocabularyData,
} from "./tokenizer.js";
