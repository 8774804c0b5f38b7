import type { PieceAlgorithm } from "./algorithm.js";
import { Bpe } from "./bpe.js";
import { checkModel } from "./check-model.js";
import { CodeList } from "./code-list.js";
import { DecodeTable, PieceDecoder } from "./decode.js";
import { DenormalizingDecoder } from "./denormalize.js";
import { cannotOpen, TokenizerError, unsupported } from "./errors.js";
import type { TokenizerModel } from "./model.js";
import { normalize } from "./normalize.js";
import { byteOfPiece, idsOfType, pieceText, pieceType } from "./piece-list.js";
import { hashOf, PieceTable } from "./piece-table.js";
import type { DecodeOptions, EncodeOptions, StreamDecoder, Tokenizer } from "./tokenizer.js";
import { createUserDefined, type UserDefined } from "./user-defined.js";
import { decodeUtf8, encodeUtf8 } from "./utf8.js";
import { CharModel, WordModel } from "./word-and-char.js";

/**
 * The longest text, in bytes of UTF-8. Spaces take three bytes once they are escaped, and positions in the result
 * have to fit in 30 bits.
 */
const maxTextBytes = 2 ** 28;

/** A tokenizer for any model that the readers in formats/ describe. */
export class SentencePieceTokenizer implements Tokenizer {
  readonly vocabSize: number;
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly unk: number;
  readonly #model: TokenizerModel;
  readonly #table: PieceTable;
  readonly #userDefined: UserDefined | undefined;
  readonly #algorithm: PieceAlgorithm;
  readonly #decodeTable: DecodeTable;
  /** The id of each byte's piece, in models with byte fallback. */
  readonly #byteIds: Uint32Array;

  /**
   * @throws TokenizerError for a model that contradicts itself or fails its own tests
   * @throws UnsupportedTokenizerError for a model of an algorithm that is not handled
   */
  constructor(model: TokenizerModel) {
    checkModel(model);
    const { pieces } = model;
    this.#model = model;
    this.#table = new PieceTable(pieces, model.name);
    this.#userDefined = createUserDefined(pieces);
    this.#algorithm = createAlgorithm(model, this.#table, this.#userDefined);
    this.#decodeTable = new DecodeTable(model);
    this.vocabSize = pieces.count;
    this.bos = model.bos;
    this.eos = model.eos;
    this.unk = pieces.types.indexOf(pieceType.unknown);

    this.#byteIds = new Uint32Array(256);
    for (const id of idsOfType(pieces, pieceType.byte)) this.#byteIds[byteOfPiece(pieces, id)] = id;
    this.#test();
  }

  encode(text: string | Uint8Array, options: EncodeOptions = {}): number[] {
    const ids: number[] = [];
    if (options.bos) ids.push(this.#special("bos"));
    this.#encode(text, (id) => ids.push(id));
    if (options.eos) ids.push(this.#special("eos"));
    return ids;
  }

  decode(ids: Iterable<number>, options?: DecodeOptions): string {
    const decoder = this.decoder(options);
    let text = "";
    for (const id of ids) text += decoder.push(id);
    return text + decoder.end();
  }

  decoder(options?: DecodeOptions): StreamDecoder {
    const decoder = new PieceDecoder(this.#decodeTable, options);
    const { denormalizationMap } = this.#model;
    return denormalizationMap ? new DenormalizingDecoder(decoder, denormalizationMap) : decoder;
  }

  piece(id: number): string {
    this.#decodeTable.check(id);
    return pieceText(this.#model.pieces, id);
  }

  id(piece: string): number | undefined {
    const bytes = encodeUtf8(piece);
    const id = this.#table.find(bytes, 0, bytes.length, hashOf(bytes, 0, bytes.length));
    return id < 0 ? undefined : id;
  }

  /** Gives each id with the bytes of the normalized text that it stands for. */
  #encode(
    text: string | Uint8Array,
    add: (id: number, normalized: Uint8Array, begin: number, end: number) => void,
  ): void {
    const input = typeof text === "string" ? encodeUtf8(text) : text;
    if (input.length > maxTextBytes) {
      throw new RangeError(
        `Cannot encode a text: expected at most ${maxTextBytes} bytes of UTF-8, found ${input.length}`,
      );
    }
    const { bytes, length } = normalize(input, this.#model.normalization, this.#userDefined);
    const list = new CodeList(Math.max(16, length >> 1));
    this.#algorithm.encode(bytes, length, list);

    const { starts, ends } = this.#model.pieces;
    const { codes } = list;
    let at = 0;
    for (let i = 0; i < list.length; i++) {
      const code = codes[i]!;
      if (code >= 0) {
        const end = at + ends[code]! - starts[code]!;
        add(code, bytes, at, end);
        at = end;
      } else if (this.#model.byteFallback) {
        for (const end = at - code; at < end; at++) add(this.#byteIds[bytes[at]!]!, bytes, at, at + 1);
      } else {
        // a run of unknown characters becomes one unk
        const begin = at;
        at -= code;
        while (i + 1 < list.length && codes[i + 1]! < 0) at -= codes[++i]!;
        add(this.unk, bytes, begin, at);
      }
    }
  }

  #special(name: "bos" | "eos"): number {
    const id = this[name];
    if (id === undefined) {
      throw new TokenizerError(
        `Cannot encode with ${this.#model.name}: ${name} was asked for, the vocabulary has none`,
      );
    }
    return id;
  }

  /** A model may carry texts and what they have to become. */
  #test(): void {
    for (const { input, expected } of this.#model.selfTests) {
      const found: string[] = [];
      this.#encode(input, (id, normalized, begin, end) => {
        found.push(id === this.unk ? decodeUtf8(normalized, begin, end) : pieceText(this.#model.pieces, id));
      });
      const wanted = decodeUtf8(expected, 0, expected.length);
      if (found.join(" ") !== wanted) {
        const text = decodeUtf8(input, 0, input.length);
        throw cannotOpen(
          this.#model.name,
          `its self-test on "${text}": expected "${wanted}", found "${found.join(" ")}"`,
        );
      }
    }
  }
}

function createAlgorithm(
  { name, algorithm }: TokenizerModel,
  table: PieceTable,
  userDefined: UserDefined | undefined,
): PieceAlgorithm {
  switch (algorithm) {
    case "bpe":
      return new Bpe(table, userDefined);
    case "char":
      return new CharModel(table, userDefined);
    case "word":
      return new WordModel(table);
    case "unigram":
      throw unsupported(
        name,
        "expected a BPE, word or char model, found a unigram model, which is not supported",
      );
  }
}
