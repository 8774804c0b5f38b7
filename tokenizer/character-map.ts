import { cannotOpen } from "./errors.js";

/** Trie units come in blocks of 256, of four bytes each. */
const blockBytes = 1024;

/**
 * A table of rewriting rules, such as Unicode's NFKC: what stands on the left becomes what stands on the right, the
 * longest rule that matches a place first.
 *
 * SentencePiece stores it as a "precompiled character map":
 *
 *   trieBytes  u32
 *   trie       u32[trieBytes / 4], a double array as darts-clone makes it
 *   strings    the right-hand sides, each ended by a NUL; the trie's values are offsets into them
 *
 * A unit of the trie holds the byte that leads to it and where its children are: the child by byte b of the unit at
 * position p is at (p ^ offset(unit)) ^ b, if the unit there has the label b. A rule ends at a unit that has a leaf,
 * whose value stands in the place of the child by byte 0.
 */
export class CharacterMap {
  /** The right-hand sides. */
  readonly strings: Uint8Array;
  readonly #units: Uint32Array;
  /** Of the last match: where its right-hand side lies in `strings`. */
  begin = 0;
  end = 0;
  /** Of the last match: whether a longer rule may match, were there more text. */
  isOpen = false;

  /** @throws TokenizerError for a table that is cut short, or whose offsets leave it */
  constructor(blob: Uint8Array, name: string, field: string) {
    const bad = (expected: string, found: string) =>
      cannotOpen(name, `${field}, precompiled_charsmap: expected ${expected}, found ${found}`);
    if (blob.length <= 4) throw bad("more than 4 bytes", String(blob.length));
    const trieBytes = new DataView(blob.buffer, blob.byteOffset, blob.byteLength).getUint32(0, true);
    if (trieBytes >= blob.length - 4) {
      throw bad(`a trie of fewer than ${blob.length - 4} bytes`, `one of ${trieBytes}`);
    }
    if (trieBytes === 0 || trieBytes % blockBytes !== 0) {
      throw bad(`a trie in blocks of ${blockBytes} bytes`, `one of ${trieBytes}`);
    }
    // copies: the trie has to be aligned, and the strings are small
    this.#units = new Uint32Array(blob.slice(4, 4 + trieBytes).buffer);
    this.strings = blob.slice(4 + trieBytes);
    if (this.strings.at(-1) !== 0) throw bad("strings that end with a NUL", "one that does not");

    const units = this.#units;
    for (let position = 0; position < units.length; position++) {
      const unit = units[position]!;
      if (isValue(unit) && position > 0) continue;
      const children = position ^ childOffset(unit);
      if (children < 0 || children >= units.length)
        throw bad("offsets inside the trie", `one to unit ${children}`);
      if (hasLeaf(unit) && leafOf(units[children]!) >= this.strings.length) {
        throw bad(
          "offsets inside the strings",
          `one of ${leafOf(units[children]!)} in ${this.strings.length} bytes`,
        );
      }
    }
  }

  /** Bytes of the longest rule's left-hand side that stands at `at` in text[0, stop), or 0. */
  match(text: Uint8Array, at: number, stop: number): number {
    const units = this.#units;
    let position = childOffset(units[0]!);
    let longest = 0;
    this.isOpen = false;
    for (let i = at; ; i++) {
      if (i === stop) {
        this.isOpen = true;
        break;
      }
      const byte = text[i]!;
      position ^= byte;
      const unit = units[position]!;
      if (labelOf(unit) !== byte) break;
      position ^= childOffset(unit);
      if (hasLeaf(unit)) {
        longest = i + 1 - at;
        this.begin = leafOf(units[position]!);
      }
    }
    if (longest > 0) this.end = this.strings.indexOf(0, this.begin);
    return longest;
  }
}

function hasLeaf(unit: number): boolean {
  return (unit & 0x100) !== 0;
}

/** The byte of a unit; values have the highest bit set, so that theirs is no byte. */
function labelOf(unit: number): number {
  return (unit & 0x800000ff) >>> 0;
}

function isValue(unit: number): boolean {
  return unit >>> 31 === 1;
}

function leafOf(unit: number): number {
  return unit & 0x7fffffff;
}

/** In the upper 22 bits, in steps of 256 where bit 9 is set. */
function childOffset(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}
