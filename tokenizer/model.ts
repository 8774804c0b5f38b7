import type { CharacterMap } from "./character-map.js";
import type { PieceList } from "./piece-list.js";

/** How text becomes pieces. */
export type Algorithm = "bpe" | "unigram" | "word" | "char";

/** What is done to the text before it is cut into pieces (SentencePiece's NormalizerSpec). */
export interface Normalization {
  /** Put a space in front of the text, so that its first word is written as the words inside it are. */
  readonly addDummyPrefix: boolean;
  /** Drop spaces at both ends and all but one of those in between. */
  readonly removeExtraWhitespaces: boolean;
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
  /** Unknown characters become their bytes' pieces instead of unk. */
  readonly byteFallback: boolean;
  readonly normalization: Normalization;
  /** Rules that rewrite decoded text. */
  readonly denormalizationMap: CharacterMap | undefined;
  /** What unk becomes in decoded text. */
  readonly unkSurface: string;
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  /** Texts that have to become these pieces (joined by spaces), or the model is not used. */
  readonly selfTests: readonly { readonly input: Uint8Array; readonly expected: Uint8Array }[];
}

/** SentencePiece's default for unk in decoded text: a double question mark between spaces. */
export const defaultUnkSurface = " \u2047 ";

/** What llama2.c and llama.cpp take for granted: a space in front and nothing else. */
export const plainNormalization: Normalization = {
  addDummyPrefix: true,
  removeExtraWhitespaces: false,
  escapeWhitespaces: true,
  whitespaceAsSuffix: false,
  characterMap: undefined,
};
