import { checkModel } from "./check-model.js";
import { DecodeTable, PieceDecoder } from "./decode.js";
import { DenormalizingDecoder } from "./denormalize.js";
import { Encoder, type IdSink, mostNBest } from "./encoder.js";
import { cannotOpen, TokenizerError } from "./errors.js";
import { applyExtraOptions } from "./extra-options.js";
import { type SpecialToken, type TokenizerModel, tokensOfTypes } from "./model.js";
import type { NormalizedText } from "./normalize.js";
import { pieceText, pieceType } from "./piece-list.js";
import { hashOf, PieceTable } from "./piece-table.js";
import { createRandom } from "./random.js";
import {
  chooseSpecials,
  createSpecialFinder,
  type SpecialFinder,
  splitAndNormalize,
  type TextPart,
  withoutPrefix,
} from "./special-tokens.js";
import type {
  DecodeOptions,
  EncodedPiece,
  EncodeOptions,
  ExtraOption,
  NBestEncoding,
  SampleOptions,
  StreamDecoder,
  StreamOptions,
  Tokenizer,
  UnigramTies,
  VocabularyData,
} from "./tokenizer.js";
import { decodeUtf8, encodeUtf8 } from "./utf8.js";
import { Utf16Offsets } from "./utf16-offsets.js";
import { vocabularyData } from "./vocabulary.js";

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
  readonly #encoder: Encoder;
  readonly #decodeTable: DecodeTable;
  /** For all special tokens (true) and for none but those always found (false), made when first needed. */
  readonly #finders = new Map<boolean, SpecialFinder>();

  /**
   * @throws TokenizerError for a model that contradicts itself or fails its own tests
   */
  constructor(model: TokenizerModel, unigramTies: UnigramTies = "float64") {
    checkModel(model);
    const { pieces } = model;
    this.#model = model;
    this.#table = new PieceTable(pieces, model.name);
    this.#encoder = new Encoder(model, this.#table, unigramTies);
    this.#decodeTable = new DecodeTable(model);
    this.vocabSize = pieces.count;
    this.bos = model.bos;
    this.eos = model.eos;
    this.unk = pieces.types.indexOf(pieceType.unknown);
    this.#test();
  }

  encode(text: string | Uint8Array, options: EncodeOptions = {}): number[] {
    const ids: number[] = [];
    this.#encode(inputOf(text), options, false, (id) => ids.push(id));
    const special = (name: "bos" | "eos") => this.#special(name);
    return applyExtraOptions(ids, extraOptions(options), special, (id) => id);
  }

  encodePieces(text: string | Uint8Array, options: EncodeOptions = {}): EncodedPiece[] {
    const input = inputOf(text);
    const offsets = typeof text === "string" ? new Utf16Offsets(input) : undefined;
    const place = (byte: number) => offsets?.at(byte) ?? byte;
    const pieces: EncodedPiece[] = [];
    this.#encode(input, options, true, (id, begin, end, part) => {
      const { text } = part;
      const piece = text && id === this.unk ? decodeUtf8(text.bytes, begin, end) : this.piece(id);
      const from = text ? part.begin + text.origins![begin]! : begin;
      const to = text ? part.begin + text.origins![end]! : end;
      pieces.push({ id, piece, begin: place(from), end: place(to) });
    });
    const special = (name: "bos" | "eos") => {
      const id = this.#special(name);
      return { id, piece: this.piece(id), begin: 0, end: 0 };
    };
    const named = (found: EncodedPiece) =>
      found.id === this.unk ? { ...found, piece: this.piece(this.unk) } : found;
    return applyExtraOptions(pieces, extraOptions(options), special, named);
  }

  normalize(text: string | Uint8Array): string {
    const { bytes, length } = this.#normalize(inputOf(text), false);
    return decodeUtf8(bytes, 0, length);
  }

  encodeNBest(text: string | Uint8Array, count: number): NBestEncoding[] {
    if (!(Number.isInteger(count) && count >= 1 && count <= mostNBest)) {
      throw new RangeError(
        `Cannot list the best encodings: expected a number of them from 1 to ${mostNBest}, found ${count}`,
      );
    }
    return this.#encoder.nBest(this.#normalize(inputOf(text), false), count);
  }

  decode(ids: Iterable<number>, options?: DecodeOptions): string {
    const decoder = this.#decoder(options);
    let text = "";
    for (const id of inOrder(ids, options)) text += decoder.push(id);
    return text + decoder.end();
  }

  decodePieces(pieces: Iterable<string>, options?: DecodeOptions): string {
    const decoder = this.#decoder(options);
    let text = "";
    for (const piece of inOrder(pieces, options)) {
      const id = this.id(piece);
      text += id === undefined ? decoder.pushText(piece) : decoder.push(id);
    }
    return text + decoder.end();
  }

  decoder(options?: StreamOptions): StreamDecoder {
    return this.#decoder(options);
  }

  #decoder(options?: StreamOptions): PieceDecoder | DenormalizingDecoder {
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

  vocabulary(): VocabularyData {
    return vocabularyData(this.#model);
  }

  /** Gives each id with its place: in the part's normalized text, or in the input where it is a special token. */
  #encode(
    input: Uint8Array,
    { sample, special = false, continues = false }: EncodeOptions,
    withOrigins: boolean,
    add: (id: number, begin: number, end: number, part: TextPart) => void,
  ): void {
    const random = sample && createRandom(sample.seed);
    const options = sample && checked(sample);
    for (const part of this.#parts(input, special, continues, withOrigins)) {
      const { text } = part;
      if (!text) add(part.id, part.begin, part.end, part);
      else {
        const addId: IdSink = (id, begin, end) => add(id, begin, end, part);
        if (options && random) this.#encoder.sample(text, options, random, addId);
        else this.#encoder.encode(text, addId);
      }
    }
  }

  #parts(
    input: Uint8Array,
    special: boolean | readonly string[],
    continues: boolean,
    withOrigins: boolean,
  ): readonly TextPart[] {
    const { normalization, alwaysFound = [] } = this.#model;
    const first = continues ? withoutPrefix(normalization) : normalization;
    if (special === false && alwaysFound.length === 0) {
      const text = this.#encoder.normalize(input, first, withOrigins);
      return [{ id: -1, begin: 0, end: input.length, text }];
    }
    const rules = (begin: number) => (begin > 0 ? normalization : first);
    return splitAndNormalize(input, this.#finder(special), rules, (part, rules) =>
      this.#encoder.normalize(part, rules, withOrigins),
    );
  }

  #finder(special: boolean | readonly string[]): SpecialFinder {
    const { pieces, name, normalization, alwaysFound = [] } = this.#model;
    const { specials = tokensOfTypes(pieces, pieceType.control) } = this.#model;
    const create = (tokens: readonly SpecialToken[]) =>
      createSpecialFinder(
        [...alwaysFound, ...tokens],
        normalization,
        (text) => this.#normalize(text, false),
        name,
      );
    if (typeof special !== "boolean") return create(chooseSpecials(specials, special, name));
    const finder = this.#finders.get(special) ?? create(special ? specials : []);
    this.#finders.set(special, finder);
    return finder;
  }

  #normalize(input: Uint8Array, withOrigins: boolean): NormalizedText {
    return this.#encoder.normalize(input, this.#model.normalization, withOrigins);
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
      const normalized = this.#normalize(input, false);
      this.#encoder.encode(normalized, (id, begin, end) => {
        found.push(
          id === this.unk ? decodeUtf8(normalized.bytes, begin, end) : pieceText(this.#model.pieces, id),
        );
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

/** `bos` and `eos` are put outside of what `extra` makes. */
function extraOptions({ extra = [], bos, eos }: EncodeOptions): readonly ExtraOption[] {
  return [...extra, ...(bos ? (["bos"] as const) : []), ...(eos ? (["eos"] as const) : [])];
}

function inOrder<T>(items: Iterable<T>, options?: DecodeOptions): Iterable<T> {
  return options?.reverse ? [...items].reverse() : items;
}

/** @throws RangeError for a text that is too long */
function inputOf(text: string | Uint8Array): Uint8Array {
  const input = typeof text === "string" ? encodeUtf8(text) : text;
  if (input.length > maxTextBytes) {
    throw new RangeError(
      `Cannot encode a text: expected at most ${maxTextBytes} bytes of UTF-8, found ${input.length}`,
    );
  }
  return input;
}

function checked(sample: SampleOptions): SampleOptions {
  const { alpha, nBest } = sample;
  if (!(alpha >= 0 && alpha < Number.POSITIVE_INFINITY)) {
    throw new RangeError(`Cannot sample: expected an alpha of 0 or more, found ${alpha}`);
  }
  if (nBest !== undefined && !(Number.isInteger(nBest) && nBest >= 1 && nBest <= mostNBest)) {
    throw new RangeError(`Cannot sample: expected an nBest from 1 to ${mostNBest}, found ${nBest}`);
  }
  return sample;
}
