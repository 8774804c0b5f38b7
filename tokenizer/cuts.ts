import { isMatchable, type PieceList } from "./piece-list.js";
import { leadLength } from "./utf8.js";

const hashBits = 20;

/**
 * Which pairs of characters stand side by side inside some piece. Where two characters do not, no merge ever spans
 * them, and the text can be cut there: what lies left and right is tokenized apart, with the same ids.
 *
 * Pairs share bits, so that a pair may seem to be there when it is not. That only leaves a text uncut.
 */
export class PairSet {
  readonly #ascii = new Uint8Array(128 * 128);
  readonly #others = new Uint8Array((1 << hashBits) / 8);

  constructor(pieces: PieceList) {
    const { bytes, starts, ends, types } = pieces;
    for (let id = 0; id < pieces.count; id++) {
      if (!isMatchable(types[id]!)) continue;
      const end = ends[id]!;
      let previous = -1;
      for (let at = starts[id]!; at < end; ) {
        const lead = bytes[at]!;
        const length = lead < 0x80 ? 1 : Math.min(leadLength(lead), end - at);
        const character = length === 1 ? lead : packCharacter(bytes, at, length);
        if (previous !== -1) this.#add(previous, character);
        previous = character;
        at += length;
      }
    }
  }

  has(left: number, right: number): boolean {
    if (((left | right) & ~127) === 0) return this.#ascii[(left << 7) | right] !== 0;
    const bit = pairHash(left, right);
    return ((this.#others[bit >>> 3]! >> (bit & 7)) & 1) !== 0;
  }

  #add(left: number, right: number): void {
    if (((left | right) & ~127) === 0) this.#ascii[(left << 7) | right] = 1;
    else {
      const bit = pairHash(left, right);
      this.#others[bit >>> 3]! |= 1 << (bit & 7);
    }
  }
}

/** A character's bytes, at most four, as one number. */
export function packCharacter(bytes: Uint8Array, at: number, length: number): number {
  let packed = bytes[at]!;
  for (let i = 1; i < length; i++) packed = (packed << 8) | bytes[at + i]!;
  return packed;
}

function pairHash(left: number, right: number): number {
  const mixed = Math.imul(left, 0x85ebca6b) ^ Math.imul(right, 0x9e3779b1);
  return Math.imul(mixed ^ (mixed >>> 15), 0xc2b2ae35) >>> (32 - hashBits);
}
