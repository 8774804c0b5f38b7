import type { PieceAlgorithm, Segmentation } from "./algorithm.js";
import type { CodeList } from "./code-list.js";
import { Lattice } from "./lattice.js";
import { isMatchable, type PieceList, pieceType, type ScoreRange } from "./piece-list.js";
import type { Random } from "./random.js";
import type { SampleOptions, UnigramTies } from "./tokenizer.js";
import { Trie } from "./trie.js";
import { leadLength } from "./utf8.js";

/** How much worse than the worst piece an unknown character is. */
const unknownPenalty = 10;
/** A user-defined symbol costs this little, whatever its length, so that it is always chosen. */
const userDefinedPenalty = 0.1;

/**
 * The unigram language model: of all ways to cut the text into pieces the one with the greatest sum of scores, found by
 * Viterbi's algorithm from left to right. Scores are log probabilities.
 *
 * Sums are float32, and so are ties: which of two ways wins depends on the rounding, and on what has been added up
 * since the text's beginning. Words are therefore not cached.
 */
export class Unigram implements PieceAlgorithm {
  readonly #trie = new Trie();
  readonly #pieces: PieceList;
  readonly #unknownScore: number;
  readonly #greatestScore: number;
  readonly #rounds: boolean;

  // The best way to each place since the last one that all ways pass through, which is place 0.
  #best = new Float32Array(256);
  #from = new Int32Array(256); // where its last piece begins; -1 where no way leads
  #codes = new Int32Array(256);

  constructor(pieces: PieceList, { least, greatest }: ScoreRange, ties: UnigramTies, name: string) {
    const { count, bytes, starts, ends, types } = pieces;
    this.#pieces = pieces;
    this.#rounds = ties === "float32";
    this.#unknownScore = Math.fround(least - unknownPenalty);
    this.#greatestScore = greatest;
    for (let id = 0; id < count; id++) {
      const type = types[id]!;
      // unused pieces are not in the trie: SentencePiece finds them, and passes them over
      if (isMatchable(type) && type !== pieceType.unused) {
        this.#trie.add(bytes, starts[id]!, ends[id]!, id, name);
      }
    }
  }

  encode(text: Uint8Array, end: number, out: CodeList): void {
    const { scores, types } = this.#pieces;
    const trie = this.#trie;
    let base = 0;
    let reach = 0; // how far pieces go that begin before `at`
    this.#best[0] = 0;
    for (let at = 0; at < end; ) {
      if (at === reach && at > base) {
        // no piece spans this place: what lies before is decided
        this.#best[0] = this.#takeBest(at - base, out);
        base = at;
      }
      const here = this.#best[at - base]!;
      const length = Math.min(leadLength(text[at]!), end - at);
      let known = false;
      let node = trie.root;
      for (let stop = at; stop < end; ) {
        node = trie.child(node, text[stop++]!);
        if (node < 0) break;
        const id = trie.values[node]!;
        if (id < 0) continue;
        if (stop > reach) reach = this.#reach(reach, stop, base);
        const score = types[id] === pieceType.userDefined ? this.#bonus(stop - at) : scores[id]!;
        // SentencePiece 0.1.97 compares the sum as a float64 with sums kept as float32; 0.2.2 rounds it first
        const sum = this.#rounds ? Math.fround(score + here) : score + here;
        this.#offer(stop - base, sum, at - base, id);
        if (stop - at === length) known = true;
      }
      if (!known) {
        if (at + length > reach) reach = this.#reach(reach, at + length, base);
        this.#offer(at + length - base, Math.fround(this.#unknownScore + here), at - base, -length);
      }
      at += length;
    }
    this.#takeBest(end - base, out);
  }

  nBest(text: Uint8Array, end: number, count: number): Segmentation[] {
    return this.#lattice(text, end).nBest(count);
  }

  sample(
    text: Uint8Array,
    end: number,
    { alpha, nBest }: SampleOptions,
    random: Random,
    out: CodeList,
  ): void {
    if (end === 0) return;
    const lattice = this.#lattice(text, end);
    const codes =
      nBest === undefined ? lattice.sample(alpha, random) : lattice.sampleOf(nBest, alpha, random);
    for (const code of codes) out.push(code);
  }

  /** A user-defined symbol of a length, in bytes here and in characters in the lattice: so it is in SentencePiece. */
  #bonus(length: number): number {
    const bonus = Math.fround(length * this.#greatestScore) - userDefinedPenalty;
    return this.#rounds ? Math.fround(bonus) : bonus;
  }

  #offer(place: number, sum: number, from: number, code: number): void {
    if (this.#from[place]! >= 0 && !(sum > this.#best[place]!)) return;
    this.#best[place] = sum;
    this.#from[place] = from;
    this.#codes[place] = code;
  }

  /** Makes the places from `reach` to `stop` ready. */
  #reach(reach: number, stop: number, base: number): number {
    if (stop - base >= this.#best.length) {
      this.#best = enlarged(this.#best, new Float32Array(2 * (stop - base)));
      this.#from = enlarged(this.#from, new Int32Array(2 * (stop - base)));
      this.#codes = enlarged(this.#codes, new Int32Array(2 * (stop - base)));
    }
    for (let place = reach + 1 - base; place <= stop - base; place++) this.#from[place] = -1;
    return stop;
  }

  /** Adds the codes of the best way to a place; gives its score. */
  #takeBest(place: number, out: CodeList): number {
    const first = out.length;
    for (let at = place; at > 0; at = this.#from[at]!) out.push(this.#codes[at]!);
    out.codes.subarray(first, out.length).reverse();
    return this.#best[place]!;
  }

  #lattice(text: Uint8Array, end: number): Lattice {
    const { scores, types } = this.#pieces;
    const trie = this.#trie;
    const lattice = new Lattice(end);
    for (let at = 0; at < end; ) {
      const length = Math.min(leadLength(text[at]!), end - at);
      let known = false;
      let node = trie.root;
      let characters = 0;
      let boundary = at; // where the character that `stop` is in ends
      for (let stop = at; stop < end; ) {
        if (stop === boundary) {
          boundary += Math.min(leadLength(text[stop]!), end - stop);
          characters++;
        }
        node = trie.child(node, text[stop++]!);
        if (node < 0) break;
        const id = trie.values[node]!;
        if (id < 0 || stop !== boundary) continue;
        lattice.add(
          at,
          stop,
          id,
          types[id] === pieceType.userDefined ? this.#bonus(characters) : scores[id]!,
        );
        if (characters === 1) known = true;
      }
      if (!known) lattice.add(at, at + length, -length, this.#unknownScore);
      at += length;
    }
    return lattice;
  }
}

function enlarged<T extends Float32Array | Int32Array>(array: T, larger: T): T {
  larger.set(array);
  return larger;
}
