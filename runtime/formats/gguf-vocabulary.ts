import type { Vocabulary } from "./checkpoint.js";
import { defined } from "./defined.js";
import type { Gguf } from "./gguf.js";
import { booleanAt, integerAt, modelError, numbersAt, stringAt, stringsAt } from "./gguf-values.js";

/** "No such token", where writers give every id: -1, as a u32. */
const noToken = 2 ** 32 - 1;

/**
 * What chat models call the token that ends a turn, where the file does not give its id; of these, llama.cpp looks for
 * the same. Only the tokens that are control or user-defined count: text may spell them, too.
 */
const endOfTurn = ["<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<EOT>"];

/** The ids that generation begins with and stops at. */
export interface SpecialIds {
  readonly bos?: number;
  readonly eos?: number;
  readonly eot?: number;
}

/**
 * The vocabulary of a GGUF, undefined where it has none, and the special ids, which a file may give without one.
 * Scores and piece types may be missing or fewer than the tokens: that is for the tokenizer to judge.
 *
 * @throws ModelError for a vocabulary of another size than the embedding, and ids out of range
 */
export function readVocabulary(
  gguf: Gguf,
  vocabSize: number,
): { readonly vocabulary: Vocabulary | undefined; readonly special: SpecialIds } {
  const tokens = stringsAt(gguf, "tokenizer.ggml.tokens");
  if (tokens && tokens.length !== vocabSize) {
    throw modelError(
      gguf,
      `tokenizer.ggml.tokens: expected ${vocabSize} tokens, one for each row of the embedding, found ${tokens.length}`,
    );
  }
  const id = (name: string): number | undefined => {
    const key = `tokenizer.ggml.${name}_token_id`;
    const value = integerAt(gguf, key);
    if (value === undefined || value === noToken || value === -1) return undefined;
    if (!(value >= 0 && value < vocabSize)) {
      throw modelError(gguf, `${key}: expected an id from 0 to ${vocabSize - 1}, found ${value}`);
    }
    return value;
  };
  const types = numbersAt(gguf, "tokenizer.ggml.token_type");

  // files without ids mean Llama 2's, says llama.cpp; we take its word where those tokens are there
  const bos = id("bos") ?? idIf(tokens, 1, "<s>");
  const eos = id("eos") ?? idIf(tokens, 2, "</s>");
  const unk = id("unknown") ?? idIf(tokens, 0, "<unk>");
  const eot = id("eot") ?? findEndOfTurn(tokens, types);
  const special = defined({ bos, eos, eot });
  if (!tokens) return { vocabulary: undefined, special };

  const vocabulary = {
    model: stringAt(gguf, "tokenizer.ggml.model") ?? "unknown",
    tokens,
    ...defined({
      scores: numbersAt(gguf, "tokenizer.ggml.scores"),
      types,
      unk,
      addBos: booleanAt(gguf, "tokenizer.ggml.add_bos_token"),
      addEos: booleanAt(gguf, "tokenizer.ggml.add_eos_token"),
      addSpacePrefix: booleanAt(gguf, "tokenizer.ggml.add_space_prefix"),
    }),
    ...special,
  };
  return { vocabulary, special };
}

function idIf(tokens: readonly string[] | undefined, id: number, text: string): number | undefined {
  return tokens?.[id] === text ? id : undefined;
}

function findEndOfTurn(
  tokens: readonly string[] | undefined,
  types: ArrayLike<number> | undefined,
): number | undefined {
  if (!tokens || !types) return undefined;
  const [control, userDefined] = [3, 4];
  const id = tokens.findIndex(
    (token, i) => (types[i] === control || types[i] === userDefined) && endOfTurn.includes(token),
  );
  return id === -1 ? undefined : id;
}
