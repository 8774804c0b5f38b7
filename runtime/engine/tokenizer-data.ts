import { ModelError } from "../errors.js";
import type { Vocabulary } from "../formats/checkpoint.js";
import { openGguf } from "../formats/gguf.js";
import { readVocabulary } from "../formats/gguf-vocabulary.js";
import type { Source } from "../formats/source.js";
import { besideNames } from "./beside-names.js";

/** What a tokenizer is made of, read but not yet understood: the engine moves ids, text belongs to others. */
export interface TokenizerData {
  /** What errors call it. */
  readonly name: string;
  /** A file's bytes, or the vocabulary of a GGUF. */
  readonly content: Uint8Array | Vocabulary;
}

/** The longest tokenizer file that is read: those of 256,000 pieces take 5 MB. */
const MAX_TOKENIZER_BYTES = 2 ** 28;

/** The tokenizer in a file that is not a llama2.c checkpoint; of a GGUF its header only is read. The source stays the caller's to close. */
export async function readTokenizerData(source: Source): Promise<TokenizerData> {
  const { name, size } = source;
  const head = await source.read(0, Math.min(4, size));
  if (String.fromCharCode(...head) === "GGUF") {
    const gguf = await openGguf(source);
    const tokens = gguf.metadata.get("tokenizer.ggml.tokens");
    // the tokens are counted by themselves: a file that is a vocabulary only has no embedding to go with
    const { vocabulary } = readVocabulary(gguf, Array.isArray(tokens) ? tokens.length : 0);
    if (!vocabulary)
      throw new ModelError(`Cannot turn text into tokens: ${name} has no tokenizer.ggml.tokens`);
    return { name, content: vocabulary };
  }
  if (size > MAX_TOKENIZER_BYTES) {
    throw new ModelError(
      `Cannot read ${name}: expected a tokenizer of at most ${MAX_TOKENIZER_BYTES} bytes, found ${size}`,
    );
  }
  return { name, content: await source.read(0, size) };
}

/** The tokenizers in the folder of a model that has none of its own, in the order in which they are preferred. */
export async function readTokenizersBeside(model: Source): Promise<TokenizerData[]> {
  const found: TokenizerData[] = [];
  for (const name of besideNames) {
    const file = await model.sibling?.(name);
    if (file) found.push(await readTokenizerData(file));
  }
  return found;
}
