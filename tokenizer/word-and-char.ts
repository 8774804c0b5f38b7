import type { PieceAlgorithm } from "./algorithm.js";
import type { CodeList } from "./code-list.js";
import { pieceType } from "./piece-list.js";
import { hashOf, type PieceTable } from "./piece-table.js";
import type { UserDefined } from "./user-defined.js";
import { leadLength, spaceMark } from "./utf8.js";

/** Each character is a piece, and each user-defined symbol. */
export class CharModel implements PieceAlgorithm {
  readonly #table: PieceTable;
  readonly #userDefined: UserDefined | undefined;

  constructor(table: PieceTable, userDefined: UserDefined | undefined) {
    this.#table = table;
    this.#userDefined = userDefined;
  }

  encode(text: Uint8Array, end: number, out: CodeList): void {
    for (let at = 0; at < end; ) {
      const frozen = this.#userDefined?.longest(text, at, end) ?? 0;
      const length = frozen || Math.min(leadLength(text[at]!), end - at);
      out.push(codeOf(this.#table, text, at, length));
      at += length;
    }
  }
}

/** Each word is a piece, cut in front of every U+2581 (even where words carry it behind them). */
export class WordModel implements PieceAlgorithm {
  readonly #table: PieceTable;

  constructor(table: PieceTable) {
    this.#table = table;
  }

  encode(text: Uint8Array, end: number, out: CodeList): void {
    for (let start = 0; start < end; ) {
      let stop = start + 1;
      while (stop < end && !isSpaceMark(text, stop, end)) stop++;
      out.push(codeOf(this.#table, text, start, stop - start));
      start = stop;
    }
  }
}

/**
 * The id of a piece, or minus the bytes of what is none. Control pieces are not found in text: SentencePiece finds them
 * here, and then gives up on the text with an error. Byte pieces are, as the words that their names are.
 */
function codeOf(table: PieceTable, text: Uint8Array, start: number, length: number): number {
  const id = table.find(text, start, length, hashOf(text, start, start + length));
  const type = id < 0 ? pieceType.unknown : table.pieces.types[id];
  return type === pieceType.unknown || type === pieceType.control ? -length : id;
}

function isSpaceMark(text: Uint8Array, at: number, end: number): boolean {
  return (
    text[at] === spaceMark[0] &&
    at + 2 < end &&
    text[at + 1] === spaceMark[1] &&
    text[at + 2] === spaceMark[2]
  );
}
