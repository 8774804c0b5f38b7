import { ByteList } from "../byte-list.js";
import { cannotOpen, unsupported } from "../errors.js";
import { defaultUnkSurface, plainNormalization, type TokenizerModel } from "../model.js";
import { byteOfPiece, type PieceList, PieceListBuilder, pieceType } from "../piece-list.js";
import type { VocabularyData } from "../tokenizer.js";

/** llama.cpp's ids where a file does not say, for vocabularies of model "llama". */
const defaults = { unk: 0, bos: 1, eos: 2 } as const;

/** Everything of a GGUF vocabulary but its tokens. */
export type VocabularyFields = Omit<VocabularyData, "tokens">;

/** A vocabulary that a GGUF reader has read: plain data. */
export function readVocabularyData(data: VocabularyData, name: string): TokenizerModel {
  const tokens = new PieceListBuilder();
  const bytes = new ByteList(16 * data.tokens.length);
  for (const token of data.tokens) {
    const start = bytes.length;
    bytes.appendText(token);
    tokens.add(start, bytes.length, 0, pieceType.normal);
  }
  return fromVocabulary(tokens.build(bytes.bytes), data, name);
}

/**
 * A GGUF vocabulary, its tokens apart from the rest. It is read as SentencePiece would read the model that it was
 * converted from, without a character map, which GGUF does not carry: user-defined symbols are frozen, control pieces
 * are never found in text, unused ones are taken apart.
 */
export function fromVocabulary(tokens: PieceList, fields: VocabularyFields, name: string): TokenizerModel {
  const { count } = tokens;
  if (fields.model !== "llama") {
    throw unsupported(
      name,
      `tokenizer.ggml.model: expected "llama" (SentencePiece BPE), found "${fields.model}", which is not supported`,
    );
  }
  if (count === 0) throw cannotOpen(name, "tokenizer.ggml.tokens: expected tokens, found none");
  // Without scores there is no order of merges. A model file is usable without them, for ids; a tokenizer is not.
  if (!fields.scores) {
    throw cannotOpen(
      name,
      "tokenizer.ggml.scores: the vocabulary has no scores, expected one for each token",
    );
  }
  const scores = Float32Array.from(column(fields.scores, "tokenizer.ggml.scores", count, name));

  const unk = fields.unk ?? defaults.unk;
  const bos = fields.bos ?? (defaults.bos < count ? defaults.bos : undefined);
  const eos = fields.eos ?? (defaults.eos < count ? defaults.eos : undefined);
  for (const [field, id] of Object.entries({ unknown: unk, bos, eos, eot: fields.eot })) {
    if (id !== undefined && !(Number.isInteger(id) && id >= 0 && id < count)) {
      throw cannotOpen(
        name,
        `tokenizer.ggml.${field}_token_id: expected an id from 0 to ${count - 1}, found ${id}`,
      );
    }
  }
  const types = fields.types
    ? Uint8Array.from(column(fields.types, "tokenizer.ggml.token_type", count, name), checkedType(name))
    : guessedTypes(tokens, [bos, eos]);
  types[unk] = pieceType.unknown;

  return {
    name,
    algorithm: "bpe",
    pieces: { ...tokens, scores, types },
    byteFallback: true, // llama.cpp has no other way with unknown characters
    normalization: { ...plainNormalization, addDummyPrefix: fields.addSpacePrefix ?? true },
    denormalizationMap: undefined,
    unkSurface: defaultUnkSurface,
    bos,
    eos,
    selfTests: [],
  };
}

function column(values: ArrayLike<number>, field: string, count: number, name: string): ArrayLike<number> {
  if (values.length !== count) {
    throw cannotOpen(name, `${field}: expected ${count} values, one for each token, found ${values.length}`);
  }
  return values;
}

function checkedType(name: string): (type: number, id: number) => number {
  return (type, id) => {
    if (type >= 1 && type <= 6 && Number.isInteger(type)) return type;
    throw cannotOpen(name, `tokenizer.ggml.token_type of token ${id}: expected 1 to 6, found ${type}`);
  };
}

/** Files without types leave no doubt which pieces are the bytes and which two are control pieces. */
function guessedTypes(tokens: PieceList, control: readonly (number | undefined)[]): Uint8Array {
  return tokens.types.map((_, id) => {
    if (control.includes(id)) return pieceType.control;
    return byteOfPiece(tokens, id) >= 0 ? pieceType.byte : pieceType.normal;
  });
}
