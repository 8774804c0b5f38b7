import type { PieceAlgorithm } from "./algorithm.js";
import { Bpe } from "./bpe.js";
import { CodeList } from "./code-list.js";
import { TokenizerError } from "./errors.js";
import type { Normalization, TokenizerModel } from "./model.js";
import { type NormalizedText, normalize } from "./normalize.js";
import { byteOfPiece, idsOfType, type PieceList, pieceType, scoreRange } from "./piece-list.js";
import type { PieceTable } from "./piece-table.js";
import type { Random } from "./random.js";
import type { SampleOptions, UnigramTies } from "./tokenizer.js";
import { Unigram } from "./unigram.js";
import { createUserDefined, type UserDefined } from "./user-defined.js";
import { CharModel, WordModel } from "./word-and-char.js";

/** How many ways to cut a text may be asked for: SentencePiece's limit. */
export const mostNBest = 512;

/** Is told each id, with the bytes [begin, end) of the normalized text that it stands for. */
export type IdSink = (id: number, begin: number, end: number) => void;

/** Turns text into ids: normalizes it, cuts it into pieces, and writes what is unknown in the model's way. */
export class Encoder {
  readonly #model: TokenizerModel;
  readonly #pieces: PieceList;
  readonly #userDefined: UserDefined | undefined;
  readonly #algorithm: PieceAlgorithm;
  readonly #unk: number;
  /** The id of each byte's piece, in models with byte fallback. */
  readonly #byteIds = new Uint32Array(256);

  constructor(model: TokenizerModel, table: PieceTable, ties: UnigramTies) {
    const { pieces } = model;
    this.#model = model;
    this.#pieces = pieces;
    this.#userDefined = createUserDefined(pieces, model.name);
    this.#algorithm = createAlgorithm(model, table, this.#userDefined, ties);
    this.#unk = pieces.types.indexOf(pieceType.unknown);
    for (const id of idsOfType(pieces, pieceType.byte)) this.#byteIds[byteOfPiece(pieces, id)] = id;
  }

  /** @param withOrigins whether to note where each byte comes from */
  normalize(input: Uint8Array, normalization: Normalization, withOrigins: boolean): NormalizedText {
    return normalize(input, normalization, this.#userDefined, withOrigins);
  }

  encode({ bytes, length }: NormalizedText, add: IdSink): void {
    const list = new CodeList(Math.max(16, length >> 1));
    this.#algorithm.encode(bytes, length, list);
    this.#addIds(list.codes, list.length, bytes, add);
  }

  /**
   * Encodes in one of many possible ways.
   *
   * @throws TokenizerError for a model whose algorithm has only one way
   */
  sample({ bytes, length }: NormalizedText, options: SampleOptions, random: Random, add: IdSink): void {
    if (!this.#algorithm.sample) {
      throw new TokenizerError(
        `Cannot sample with ${this.#model.name}: expected a unigram or BPE model, found a ${this.#model.algorithm} model`,
      );
    }
    const list = new CodeList(Math.max(16, length >> 1));
    this.#algorithm.sample(bytes, length, options, random, list);
    this.#addIds(list.codes, list.length, bytes, add);
  }

  /**
   * The ids of the best ways to cut a text.
   *
   * @throws TokenizerError for a model that is no unigram model
   */
  nBest(
    { bytes, length }: NormalizedText,
    count: number,
  ): { readonly ids: number[]; readonly score: number }[] {
    if (!this.#algorithm.nBest) {
      throw new TokenizerError(
        `Cannot list the best encodings with ${this.#model.name}: expected a unigram model, found a ${this.#model.algorithm} model`,
      );
    }
    if (length === 0) return [{ ids: [], score: 0 }];
    return this.#algorithm.nBest(bytes, length, count).map(({ codes, score }) => {
      const ids: number[] = [];
      this.#addIds(codes, codes.length, bytes, (id) => ids.push(id));
      return { ids, score };
    });
  }

  #addIds(codes: ArrayLike<number>, count: number, bytes: Uint8Array, add: IdSink): void {
    const { starts, ends } = this.#pieces;
    let at = 0;
    for (let i = 0; i < count; i++) {
      const code = codes[i]!;
      if (code >= 0) {
        const end = at + ends[code]! - starts[code]!;
        add(code, at, end);
        at = end;
      } else if (this.#model.byteFallback) {
        // the last byte stands for the character, those before it for nothing
        const end = at - code;
        for (let byte = at; byte < end - 1; byte++) add(this.#byteIds[bytes[byte]!]!, at, at);
        add(this.#byteIds[bytes[end - 1]!]!, at, end);
        at = end;
      } else {
        // a run of unknown characters becomes one unk
        const begin = at;
        at -= code;
        while (i + 1 < count && codes[i + 1]! < 0) at -= codes[++i]!;
        add(this.#unk, begin, at);
      }
    }
  }
}

function createAlgorithm(
  { name, algorithm, pieces, merges, normalization, scoreRange: range }: TokenizerModel,
  table: PieceTable,
  userDefined: UserDefined | undefined,
  ties: UnigramTies,
): PieceAlgorithm {
  switch (algorithm) {
    case "bpe":
      return new Bpe(table, userDefined, { merges, splitsWords: normalization.splitsWords });
    case "char":
      return new CharModel(table, userDefined);
    case "word":
      return new WordModel(table);
    case "unigram":
      return new Unigram(pieces, range ?? scoreRange(pieces), ties, name);
  }
}
