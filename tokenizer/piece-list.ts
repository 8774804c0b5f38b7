import { decodeUtf8 } from "./utf8.js";

/** SentencePiece's types of pieces, by the numbers that ModelProto and GGUF both use. */
export const pieceType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** Whether text can become a piece of this type. The others are reserved: no text leads to them. */
export function isMatchable(type: number): boolean {
  return type === pieceType.normal || type === pieceType.userDefined || type === pieceType.unused;
}

/**
 * The pieces of a vocabulary in the order of their ids, in columns, as UTF-8 that lies about in one array (the file, as
 * often as not): no object and no string per piece, so that 32,000 of them open in milliseconds.
 */
export interface PieceList {
  readonly count: number;
  readonly bytes: Uint8Array;
  /** Where each piece begins in `bytes`. */
  readonly starts: Uint32Array;
  /** Where each piece ends in `bytes`. */
  readonly ends: Uint32Array;
  readonly scores: Float32Array;
  readonly types: Uint8Array;
}

/** The piece as text, for people and for `Tokenizer.piece`. */
export function pieceText(pieces: PieceList, id: number): string {
  return decodeUtf8(pieces.bytes, pieces.starts[id]!, pieces.ends[id]!);
}

/** The smallest normal float32 (FLT_MIN), from which SentencePiece starts to look for the greatest score. */
const smallestFloat = 2 ** -126;

/** The least and the greatest score of normal pieces, by which unigram models rate what has none. */
export interface ScoreRange {
  readonly least: number;
  readonly greatest: number;
}

export function scoreRange({ count, scores, types }: PieceList): ScoreRange {
  let least = Number.POSITIVE_INFINITY;
  let greatest = smallestFloat;
  for (let id = 0; id < count; id++) {
    if (types[id] !== pieceType.normal) continue;
    least = Math.min(least, scores[id]!);
    greatest = Math.max(greatest, scores[id]!);
  }
  return { least, greatest };
}

/** The ids of all pieces of a type. Quick for types that few pieces have. */
export function idsOfType({ types }: PieceList, type: number): number[] {
  const ids: number[] = [];
  for (let id = types.indexOf(type); id >= 0; id = types.indexOf(type, id + 1)) ids.push(id);
  return ids;
}

/** The id of the first piece that has this text and type. */
export function findPiece(pieces: PieceList, text: string, type: number): number | undefined {
  return idsOfType(pieces, type).find((id) => pieceText(pieces, id) === text);
}

/** The byte that a byte piece stands for, `<0x0A>` in upper case, or -1 for any other spelling. */
export function byteOfPiece({ bytes, starts, ends }: PieceList, id: number): number {
  const start = starts[id]!;
  if (ends[id]! - start !== 6) return -1;
  if (bytes[start] !== 0x3c || bytes[start + 1] !== 0x30 || bytes[start + 2] !== 0x78) return -1; // <0x
  const high = hexDigit(bytes[start + 3]!);
  const low = hexDigit(bytes[start + 4]!);
  return high < 0 || low < 0 || bytes[start + 5] !== 0x3e ? -1 : 16 * high + low;
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  return byte >= 0x41 && byte <= 0x46 ? byte - 0x41 + 10 : -1;
}

/** Collects pieces; its arrays grow with what has been added, never by a number that a file declares. */
export class PieceListBuilder {
  count = 0;
  #starts = new Uint32Array(1 << 15);
  #ends = new Uint32Array(1 << 15);
  #scores = new Float32Array(1 << 15);
  #types = new Uint8Array(1 << 15);

  /** Adds the piece that lies in bytes [start, end) of what `build` is given. */
  add(start: number, end: number, score: number, type: number): void {
    const id = this.count++;
    if (id === this.#starts.length) {
      this.#starts = doubled(this.#starts, Uint32Array);
      this.#ends = doubled(this.#ends, Uint32Array);
      this.#scores = doubled(this.#scores, Float32Array);
      this.#types = doubled(this.#types, Uint8Array);
    }
    this.#starts[id] = start;
    this.#ends[id] = end;
    this.#scores[id] = score;
    this.#types[id] = type;
  }

  build(bytes: Uint8Array): PieceList {
    const { count } = this;
    return {
      count,
      bytes,
      starts: this.#starts.slice(0, count),
      ends: this.#ends.slice(0, count),
      scores: this.#scores.slice(0, count),
      types: this.#types.slice(0, count),
    };
  }
}

function doubled<T extends Uint8Array | Uint32Array | Float32Array>(
  array: T,
  make: new (length: number) => T,
): T {
  const larger = new make(2 * array.length);
  larger.set(array);
  return larger;
}
