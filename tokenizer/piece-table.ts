import { cannotOpen } from "./errors.js";
import { type PieceList, pieceText } from "./piece-list.js";

/**
 * The hash of bytes b[0..n) is the sum of (b[i] + 1) * base^(n-1-i), modulo 2^32. The hash of two strings put together
 * follows from theirs: hash(xy) = hash(x) * base^|y| + hash(y). A merge is looked up without reading its bytes, except
 * to confirm that they are the piece found.
 */
const base = 0x01000193;

/**
 * Pieces that one look-up may have to pass at most. Random hashes in a table at most half full stay below 100 even
 * with a million pieces; only a vocabulary made to collide comes near, and such a one would be slow to open and to use.
 */
const maxProbes = 1024;

/**
 * The longest piece that SentencePiece 0.2.2 takes, in bytes. Real pieces have at most a few dozen; the limit bounds
 * what a look-up may cost.
 */
const maxPieceBytes = 7_999;

/** Finds pieces by their bytes. */
export class PieceTable {
  readonly pieces: PieceList;
  /** The longest piece's bytes. */
  readonly maxBytes: number;
  /** base^n for n up to maxBytes, to put hashes together. */
  readonly powers: Int32Array;
  readonly #ids: Int32Array; // id + 1, 0 for an empty slot
  readonly #hashes: Int32Array;
  readonly #shift: number;

  /**
   * @throws TokenizerError for a piece that is empty, too long, or there twice
   */
  constructor(pieces: PieceList, name: string) {
    this.pieces = pieces;
    let slots = 16;
    let bits = 4;
    while (slots < 2 * pieces.count) {
      slots *= 2;
      bits++;
    }
    this.#ids = new Int32Array(slots);
    this.#hashes = new Int32Array(slots);
    this.#shift = 32 - bits;

    let maxBytes = 0;
    const { bytes, starts, ends } = pieces;
    for (let id = 0; id < pieces.count; id++) {
      const start = starts[id]!;
      const end = ends[id]!;
      const length = end - start;
      if (length === 0) throw cannotOpen(name, `piece ${id}: expected some text, found an empty piece`);
      if (length > maxPieceBytes) {
        throw cannotOpen(name, `piece ${id}: expected at most ${maxPieceBytes} bytes, found ${length}`);
      }
      if (length > maxBytes) maxBytes = length;
      this.#insert(id, hashOf(bytes, start, end), start, length, name);
    }
    this.maxBytes = maxBytes;

    this.powers = new Int32Array(maxBytes + 1);
    this.powers[0] = 1;
    for (let n = 1; n <= maxBytes; n++) this.powers[n] = Math.imul(this.powers[n - 1]!, base);
  }

  /** The id of the piece that stands in `text` at [start, start + length) and has this hash, or -1. */
  find(text: Uint8Array, start: number, length: number, hash: number): number {
    const { bytes, starts, ends } = this.pieces;
    const mask = this.#ids.length - 1;
    for (let slot = slotOf(hash, this.#shift); ; slot = (slot + 1) & mask) {
      const id = this.#ids[slot]! - 1;
      if (id < 0) return -1;
      if (this.#hashes[slot] !== hash) continue;
      const at = starts[id]!;
      if (ends[id]! - at === length && sameBytes(bytes, at, text, start, length)) return id;
    }
  }

  #insert(id: number, hash: number, start: number, length: number, name: string): void {
    const { bytes, starts, ends } = this.pieces;
    const mask = this.#ids.length - 1;
    let slot = slotOf(hash, this.#shift);
    for (let probes = 0; this.#ids[slot] !== 0; slot = (slot + 1) & mask, probes++) {
      if (probes === maxProbes) {
        throw cannotOpen(
          name,
          `piece ${id}: expected at most ${maxProbes} pieces that collide in the hash table, found more`,
        );
      }
      if (this.#hashes[slot] !== hash) continue;
      const other = this.#ids[slot]! - 1;
      const at = starts[other]!;
      if (ends[other]! - at === length && sameBytes(bytes, at, bytes, start, length)) {
        throw cannotOpen(
          name,
          `piece ${id}: expected a piece that is not there yet, found "${pieceText(this.pieces, id)}", which is already defined as piece ${other}`,
        );
      }
    }
    this.#ids[slot] = id + 1;
    this.#hashes[slot] = hash;
  }
}

/** The hash of bytes [begin, end), as PieceTable takes it. */
export function hashOf(bytes: Uint8Array, begin: number, end: number): number {
  let hash = 0;
  for (let i = begin; i < end; i++) hash = (Math.imul(hash, base) + bytes[i]! + 1) | 0;
  return hash;
}

/** The upper bits of a multiple are mixed from all bits of the hash. */
function slotOf(hash: number, shift: number): number {
  return Math.imul(hash ^ (hash >>> 15), 0x9e3779b1) >>> shift;
}

function sameBytes(a: Uint8Array, aStart: number, b: Uint8Array, bStart: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (a[aStart + i] !== b[bStart + i]) return false;
  return true;
}
