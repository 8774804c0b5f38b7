import type { CodeList } from "./code-list.js";

/** Longer words are rare, and would push many short ones out. */
export const maxCachedBytes = 48;

const slots = 1 << 15;
const maxWords = slots / 2;
const maxBytes = maxWords * 12;
const maxCodes = maxWords * 6;

/**
 * The codes of words seen before. It holds at most two generations of 16,384 words each (about 3 MB): when the young
 * one is full the old one is dropped, so that what a text keeps using is copied along and the rest goes.
 */
export class WordCache {
  #young = new Generation();
  #old: Generation | undefined; // made when the first generation is full

  /** Adds the codes of the word to `out`, if they are known. */
  find(text: Uint8Array, start: number, length: number, hash: number, out: CodeList): boolean {
    const word = this.#young.find(text, start, length, hash);
    if (word >= 0) {
      this.#young.copyCodes(word, out);
      return true;
    }
    const old = this.#old;
    const oldWord = old ? old.find(text, start, length, hash) : -1;
    if (!old || oldWord < 0) return false;
    const from = out.length;
    old.copyCodes(oldWord, out);
    this.add(text, start, length, hash, out, from);
    return true;
  }

  /** Remembers that the word became the codes from `from` to the end of `codes`. */
  add(text: Uint8Array, start: number, length: number, hash: number, codes: CodeList, from: number): void {
    if (!this.#young.hasRoom(length, codes.length - from)) {
      const young = this.#old ?? new Generation();
      young.clear();
      this.#old = this.#young;
      this.#young = young;
    }
    this.#young.add(text, start, length, hash, codes, from);
  }
}

class Generation {
  readonly #words = new Uint16Array(slots); // word + 1, 0 for an empty slot
  readonly #hashes = new Int32Array(maxWords);
  readonly #bytes = new Uint8Array(maxBytes);
  readonly #byteStarts = new Int32Array(maxWords + 1);
  readonly #codes = new Int32Array(maxCodes);
  readonly #codeStarts = new Int32Array(maxWords + 1);
  #count = 0;

  find(text: Uint8Array, start: number, length: number, hash: number): number {
    const first = slotOf(hash);
    for (let probe = 0; probe < maxProbes; probe++) {
      const word = this.#words[(first + probe) & (slots - 1)]! - 1;
      if (word < 0) return -1;
      const at = this.#byteStarts[word]!;
      if (this.#hashes[word] !== hash || this.#byteStarts[word + 1]! - at !== length) continue;
      let i = 0;
      while (i < length && this.#bytes[at + i] === text[start + i]) i++;
      if (i === length) return word;
    }
    return -1;
  }

  copyCodes(word: number, out: CodeList): void {
    const end = this.#codeStarts[word + 1]!;
    for (let i = this.#codeStarts[word]!; i < end; i++) out.push(this.#codes[i]!);
  }

  hasRoom(bytes: number, codes: number): boolean {
    return (
      this.#count < maxWords &&
      this.#byteStarts[this.#count]! + bytes <= maxBytes &&
      this.#codeStarts[this.#count]! + codes <= maxCodes
    );
  }

  add(text: Uint8Array, start: number, length: number, hash: number, codes: CodeList, from: number): void {
    const first = slotOf(hash);
    for (let probe = 0; probe < maxProbes; probe++) {
      const slot = (first + probe) & (slots - 1);
      if (this.#words[slot] !== 0) continue;
      const word = this.#count++;
      this.#words[slot] = word + 1;
      this.#hashes[word] = hash;
      let at = this.#byteStarts[word]!;
      for (let i = 0; i < length; i++) this.#bytes[at++] = text[start + i]!;
      this.#byteStarts[word + 1] = at;
      let code = this.#codeStarts[word]!;
      for (let i = from; i < codes.length; i++) this.#codes[code++] = codes.codes[i]!;
      this.#codeStarts[word + 1] = code;
      return;
    }
    // no room near its slot: not remembered
  }

  clear(): void {
    this.#words.fill(0);
    this.#count = 0;
  }
}

/** A cache may forget: a text of words that collide, by chance or by design, is slow to none of them. */
const maxProbes = 16;

function slotOf(hash: number): number {
  return (Math.imul(hash ^ (hash >>> 15), 0x9e3779b1) >>> 17) & (slots - 1);
}
