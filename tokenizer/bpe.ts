import type { PieceAlgorithm } from "./algorithm.js";
import type { CodeList } from "./code-list.js";
import { PairSet, packCharacter } from "./cuts.js";
import { MergeQueue, noKey } from "./merge-queue.js";
import type { Merges } from "./merges.js";
import { isMatchable, type PieceList, pieceType } from "./piece-list.js";
import { hashOf, type PieceTable } from "./piece-table.js";
import type { Random } from "./random.js";
import type { SampleOptions } from "./tokenizer.js";
import type { UserDefined } from "./user-defined.js";
import { leadLength, spaceMark } from "./utf8.js";
import { maxCachedBytes, WordCache } from "./word-cache.js";

/** A merge is ordered by score, then from the left: rank * maxSymbols + position, exact in a float64. */
const maxSymbols = 2 ** 30;
/** In place of a merge's key: there is none. */
const noMerge = noKey;

/** Scratch for longer words is given back when they are done. */
const keptSymbols = 1 << 12;

/**
 * Byte pair encoding as SentencePiece does it: characters are merged two by two into pieces, the pair whose piece has the
 * highest score first and the leftmost among equals, until no two neighbours make a piece.
 *
 * The text is cut beforehand wherever no merge can happen (see PairSet), and words seen before are remembered. Both
 * leave the ids as they are.
 */
export class Bpe implements PieceAlgorithm {
  readonly #table: PieceTable;
  readonly #pieces: PieceList;
  readonly #userDefined: UserDefined | undefined;
  /** Place of each piece's score among all scores, 0 the highest; -1 for pieces that text cannot become. */
  readonly #ranks: Int32Array;
  /** Made with the first text, since opening a vocabulary should not wait for it. */
  #pairs: PairSet | undefined;
  #words: WordCache | undefined;
  /** The id of each ASCII character, or -1. */
  readonly #ascii: Int32Array;
  /**
   * What each unused piece was last merged from: unused pieces are taken apart again in the end. SentencePiece fills
   * this table across the whole text, so that one word's merge may decide how another word's piece comes apart. Models
   * with unused pieces are therefore neither cut nor cached. Undefined for all other models.
   */
  readonly #undo: Map<number, readonly [left: number, right: number]> | undefined;

  readonly #queue = new MergeQueue();
  #symbols = createSymbols(keptSymbols);
  #count = 0;
  /** Whether to leave out the next merge; undefined when none is. */
  #skips: (() => boolean) | undefined;

  /** The order of merges, where it is not that of the scores. */
  readonly #merges: Merges | undefined;
  /** A character that begins a word, whatever pieces there are; -1 where none does. */
  readonly #wordStart: number;

  constructor(
    table: PieceTable,
    userDefined: UserDefined | undefined,
    { merges, splitsWords = false }: { merges?: Merges | undefined; splitsWords?: boolean } = {},
  ) {
    this.#merges = merges;
    this.#wordStart = splitsWords ? packCharacter(spaceMark, 0, spaceMark.length) : -1;
    this.#table = table;
    this.#pieces = table.pieces;
    this.#userDefined = userDefined;
    this.#ranks = ranksOf(table.pieces);
    this.#undo = table.pieces.types.includes(pieceType.unused) ? new Map() : undefined;
    this.#ascii = Int32Array.from({ length: 128 }, (_, byte) => this.#codeOf(Uint8Array.of(byte), 0, 1));
  }

  /** Adds the codes of the normalized text in bytes [0, end) to `out`. */
  encode(text: Uint8Array, end: number, out: CodeList): void {
    if (this.#undo) {
      this.#encodeWhole(text, end, out);
      return;
    }
    this.#pairs ??= new PairSet(this.#pieces);
    const pairs = this.#pairs;
    let start = 0; // of the word that `at` is in
    let hash = 0; // of that word, for the cache
    let previous = 0;
    for (let at = 0; at < end; ) {
      const frozen = this.#userDefined?.longest(text, at, end) ?? 0;
      if (frozen > 0) {
        this.#encodeWord(text, start, at, hash, out);
        out.push(this.#codeOf(text, at, frozen));
        at += frozen;
        start = at;
        hash = 0;
        continue;
      }
      const lead = text[at]!;
      const length = lead < 0x80 ? 1 : Math.min(leadLength(lead), end - at);
      const character = length === 1 ? lead : packCharacter(text, at, length);
      if (at > start && (!pairs.has(previous, character) || character === this.#wordStart)) {
        this.#encodeWord(text, start, at, hash, out);
        start = at;
        hash = 0;
      }
      hash = Math.imul(hash ^ character ^ (hash >>> 15), 0x85ebca6b);
      previous = character;
      at += length;
    }
    this.#encodeWord(text, start, end, hash, out);
  }

  /** BPE-dropout: each merge, when its turn comes, is left out with probability `alpha`. */
  sample(text: Uint8Array, end: number, { alpha }: SampleOptions, random: Random, out: CodeList): void {
    this.#skips = () => random() < alpha;
    try {
      this.encode(text, end, out);
    } finally {
      this.#skips = undefined;
    }
  }

  #encodeWord(text: Uint8Array, start: number, end: number, hash: number, out: CodeList): void {
    const length = end - start;
    if (length === 0) return;
    const lead = text[start]!;
    if (length <= (lead < 0x80 ? 1 : leadLength(lead))) {
      out.push(lead < 0x80 ? this.#ascii[lead]! : this.#codeOf(text, start, length));
      return;
    }
    if (length > maxCachedBytes || this.#skips) {
      this.#mergeWord(text, start, end, out);
      return;
    }
    this.#words ??= new WordCache();
    if (this.#words.find(text, start, length, hash, out)) return;
    const from = out.length;
    this.#mergeWord(text, start, end, out);
    this.#words.add(text, start, length, hash, out, from);
  }

  #mergeWord(text: Uint8Array, start: number, end: number, out: CodeList): void {
    this.#begin(end - start);
    for (let at = start; at < end; ) {
      const length = Math.min(leadLength(text[at]!), end - at);
      this.#addSymbol(text, at, length, false);
      at += length;
    }
    this.#merge(text, end);
    const { next, codes } = this.#symbols;
    for (let symbol = 0; symbol >= 0; symbol = next[symbol]!) out.push(codes[symbol]!);
    this.#finish();
  }

  /** For models with unused pieces: one run of merges over everything. */
  #encodeWhole(text: Uint8Array, end: number, out: CodeList): void {
    if (end === 0) return;
    this.#begin(end);
    for (let at = 0; at < end; ) {
      const frozen = this.#userDefined?.longest(text, at, end) ?? 0;
      const length = frozen || Math.min(leadLength(text[at]!), end - at);
      this.#addSymbol(text, at, length, frozen > 0);
      at += length;
    }
    this.#merge(text, end);

    const { next, codes } = this.#symbols;
    const stack: number[] = []; // not recursion: a chain of unused pieces may be thousands deep
    for (let symbol = 0; symbol >= 0; symbol = next[symbol]!) {
      stack.push(codes[symbol]!);
      for (let code = stack.pop(); code !== undefined; code = stack.pop()) {
        const parts = code >= 0 && this.#pieces.types[code] === pieceType.unused && this.#undo!.get(code);
        if (parts) stack.push(parts[1], parts[0]);
        else out.push(code);
      }
    }
    this.#undo!.clear();
    this.#finish();
  }

  #begin(mostSymbols: number): void {
    if (this.#symbols.starts.length <= mostSymbols) this.#symbols = createSymbols(mostSymbols + 1);
    this.#count = 0;
  }

  #addSymbol(text: Uint8Array, at: number, length: number, frozen: boolean): void {
    const { starts, next, previous, hashes, codes, merges } = this.#symbols;
    const symbol = this.#count++;
    const hash = hashOf(text, at, at + length);
    starts[symbol] = at;
    next[symbol] = -1;
    previous[symbol] = symbol - 1;
    if (symbol > 0) next[symbol - 1] = symbol;
    hashes[symbol] = hash;
    codes[symbol] = this.#codeOf(text, at, length, hash);
    merges[symbol] = frozen ? frozenSymbol : noMerge;
  }

  /** Merges all symbols of the text, which ends at `end`. */
  #merge(text: Uint8Array, end: number): void {
    const { starts, next, previous, hashes, codes, merges, mergedHashes, mergedCodes } = this.#symbols;
    starts[this.#count] = end; // so that the last symbol ends where the next one would begin
    for (let symbol = 0; symbol < this.#count - 1; symbol++) this.#offer(text, end, symbol);

    for (let key = this.#queue.pop(); key !== noKey; key = this.#queue.pop()) {
      const left = key % maxSymbols;
      // One of the two has been merged otherwise since, and this pair is gone. (Where another pair of the same score
      // stands there now, its turn has come as well.)
      if (merges[left] !== key) continue;
      if (this.#skips?.()) {
        merges[left] = noMerge;
        continue;
      }
      const right = next[left]!;
      const after = next[right]!;
      next[left] = after;
      if (after >= 0) previous[after] = left;
      hashes[left] = mergedHashes[left]!;
      codes[left] = mergedCodes[left]!;
      merges[right] = noMerge;
      const before = previous[left]!;
      if (before >= 0) this.#offer(text, end, before);
      this.#offer(text, end, left);
    }
  }

  /** Puts the merge of a symbol with the next one into the queue, if they make a piece together. */
  #offer(text: Uint8Array, end: number, left: number): void {
    const { starts, next, hashes, codes, merges, mergedHashes, mergedCodes } = this.#symbols;
    if (merges[left] === frozenSymbol) return;
    merges[left] = noMerge;
    const right = next[left]!;
    if (right < 0 || merges[right] === frozenSymbol) return;
    const start = starts[left]!;
    const middle = starts[right]!;
    const after = next[right]!;
    const stop = after < 0 ? end : starts[after]!;
    if (stop - start > this.#table.maxBytes) return;
    const hash = (Math.imul(hashes[left]!, this.#table.powers[stop - middle]!) + hashes[right]!) | 0;
    const id = this.#table.find(text, start, stop - start, hash);
    if (id < 0) return;
    const rank = this.#merges ? this.#merges.rank(codes[left]!, codes[right]!) : this.#ranks[id]!;
    if (rank < 0) return;
    const key = rank * maxSymbols + left;
    merges[left] = key;
    mergedHashes[left] = hash;
    mergedCodes[left] = id;
    this.#queue.push(key);
    if (this.#undo && this.#pieces.types[id] === pieceType.unused) {
      this.#undo.set(id, [codes[left]!, codes[right]!]);
    }
  }

  #finish(): void {
    if (this.#symbols.starts.length <= keptSymbols) return;
    this.#symbols = createSymbols(keptSymbols);
  }

  /** The piece's id, or minus the bytes of what is no piece. */
  #codeOf(
    text: Uint8Array,
    start: number,
    length: number,
    hash = hashOf(text, start, start + length),
  ): number {
    const id = this.#table.find(text, start, length, hash);
    return id >= 0 && this.#ranks[id]! >= 0 ? id : -length;
  }
}

/** In place of a merge's key: a user-defined symbol, which is merged with nothing. */
const frozenSymbol = -1;

/** The symbols of a word as a linked list, a column per field. */
function createSymbols(capacity: number) {
  return {
    /** Where it begins in the text; it ends where the next one begins. */
    starts: new Int32Array(capacity),
    next: new Int32Array(capacity), // -1 at the end
    previous: new Int32Array(capacity), // -1 at the beginning
    hashes: new Int32Array(capacity),
    codes: new Int32Array(capacity),
    /** The key under which the merge with the next symbol stands in the queue, or noMerge, or frozenSymbol. */
    merges: new Float64Array(capacity),
    /** What that merge makes. */
    mergedHashes: new Int32Array(capacity),
    mergedCodes: new Int32Array(capacity),
  };
}

function ranksOf({ count, scores, types }: PieceList): Int32Array {
  // most vocabularies are written in that order
  const inOrder = scores.every((score, id) => id === 0 || score <= scores[id - 1]!);
  const descending = inOrder ? scores : scores.slice().sort().reverse();
  const ranks = new Int32Array(count);
  // Vocabularies are mostly written in the order of their scores, so that a piece's rank follows the one before it.
  let rank = 0;
  for (let id = 0; id < count; id++) {
    const score = scores[id]!;
    if (descending[rank] !== score || (rank > 0 && descending[rank - 1] === score)) {
      rank = firstAt(descending, score);
    }
    ranks[id] = isMatchable(types[id]!) ? rank : -1;
    rank++;
  }
  return ranks;
}

/** Where a value that is in the array first stands in it, by binary search. */
function firstAt(descending: Float32Array, value: number): number {
  let low = 0;
  let high = descending.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (descending[middle]! > value) low = middle + 1;
    else high = middle;
  }
  return low;
}
