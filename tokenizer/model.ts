import type { CharacterMap } from "./character-map.js";
import type { Merges } from "./merges.js";
import { idsOfType, type PieceList, pieceText, pieceType, type ScoreRange } from "./piece-list.js";

/** How text becomes pieces. */
export type Algorithm = "bpe" | "unigram" | "word" | "char";

/** What is done to the text before it is cut into pieces (SentencePiece's NormalizerSpec). */
export interface Normalization {
  /** Put a space in front of the text, so that its first word is written as the words inside it are. */
  readonly addDummyPrefix: boolean;
  /**
   * Where that happens when special tokens divide the text: in front of every part, or of every part that does not begin
   * with a space, or of such a part at the text's start only.
   */
  readonly prefix: "always" | "unless spaced" | "start, unless spaced";
  /** Cut in front of every U+2581 before merging. */
  readonly splitsWords: boolean;
  /** Drop spaces at both ends and all but one of those in between. */
  readonly removeExtraWhitespaces: boolean;
  /** Leave malformed bytes as they are, instead of U+FFFD for each. */
  readonly keepsMalformed?: boolean;
  /** Write spaces as U+2581. */
  readonly escapeWhitespaces: boolean;
  /** The dummy prefix is a suffix instead, since words carry the space behind them. */
  readonly whitespaceAsSuffix: boolean;
  /** Rules that rewrite the text. */
  readonly characterMap: CharacterMap | undefined;
}

/**
 * A vocabulary as the readers in formats/ deliver it, whatever its file: the plain description from which a tokenizer
 * is made. `checkModel` says whether it makes one.
 */
export interface TokenizerModel {
  /** What error messages call it. */
  readonly name: string;
  readonly algorithm: Algorithm;
  readonly pieces: PieceList;
  /** The order of BPE's merges, where it does not follow from scores. */
  readonly merges?: Merges | undefined;
  /** Of the pieces, unless it follows from them. */
  readonly scoreRange?: ScoreRange;
  /** Unknown characters become their bytes' pieces instead of unk. */
  readonly byteFallback: boolean;
  readonly normalization: Normalization;
  /** Rules that rewrite decoded text. */
  readonly denormalizationMap: CharacterMap | undefined;
  /** What unk becomes in decoded text. */
  readonly unkSurface: string;
  /** What these pieces become in decoded text, as it is, instead of what their types say. */
  readonly decodesAs?: ReadonlyMap<number, string> | undefined;
  /** Invisible pieces count as a text's first: the space of the piece after them is kept. */
  readonly keepsSpaceAfterControl?: boolean;
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  /** What may be found in a text as a token of its own, where that is asked for. Unless given: the control pieces. */
  readonly specials?: readonly SpecialToken[] | undefined;
  /** What is found in every text as a token of its own, like a special one that is asked for. */
  readonly alwaysFound?: readonly SpecialToken[] | undefined;
  /** Texts that have to become these pieces (joined by spaces), or the model is not used. */
  readonly selfTests: readonly { readonly input: Uint8Array; readonly expected: Uint8Array }[];
}

/** A piece that is found in text by its name, with Hugging Face's flags. */
export interface SpecialToken {
  readonly id: number;
  readonly content: Uint8Array;
  /** Takes the white space to its left with it. */
  readonly lstrip: boolean;
  /** Takes the white space to its right with it. */
  readonly rstrip: boolean;
  /** Is found only where no letter, digit or underscore stands beside it. */
  readonly singleWord: boolean;
  /** Is looked for in the normalized text, by its own normalized form (`▁<s>`), instead of in the text. */
  readonly normalized: boolean;
}

/** SentencePiece's default for unk in decoded text: a double question mark between spaces. */
export const defaultUnkSurface = " \u2047 ";

/** What llama2.c and llama.cpp take for granted: a space in front and nothing else. */
export const plainNormalization: Normalization = {
  addDummyPrefix: true,
  prefix: "always",
  splitsWords: false,
  removeExtraWhitespaces: false,
  escapeWhitespaces: true,
  whitespaceAsSuffix: false,
  characterMap: undefined,
};

/** Tokens of some types, found by their names: SentencePiece and GGUF say no more of a special token than its type. */
export function tokensOfTypes(pieces: PieceList, ...types: readonly number[]): SpecialToken[] {
  return types
    .flatMap((type) => idsOfType(pieces, type))
    .map((id) => ({
      id,
      content: pieces.bytes.slice(pieces.starts[id], pieces.ends[id]),
      lstrip: false,
      rstrip: false,
      singleWord: false,
      normalized: false,
    }));
}

/**
 * The same vocabulary, used as llama.cpp uses it: user-defined tokens divide the text as special ones do, and are decoded
 * as they stand; unused ones are used in encoding, and invisible in decoded text; unk is special.
 */
export function asInLlamaCpp(model: TokenizerModel): TokenizerModel {
  const { pieces, normalization } = model;
  const { normal, unknown, control, userDefined, unused } = pieceType;
  const plain = pieces.types.map((type) => (type === userDefined || type === unused ? normal : type));
  return {
    ...model,
    pieces: { ...pieces, types: plain },
    normalization: { ...normalization, keepsMalformed: true },
    unkSurface: "",
    decodesAs: new Map([
      ...idsOfType(pieces, unused).map((id) => [id, ""] as const),
      ...idsOfType(pieces, userDefined).map((id) => [id, pieceText(pieces, id)] as const),
    ]),
    keepsSpaceAfterControl: true,
    specials: model.specials ?? tokensOfTypes(pieces, control, unknown),
    alwaysFound: tokensOfTypes(pieces, userDefined),
  };
}
