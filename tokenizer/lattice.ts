import { AgendaHeap } from "./agenda-heap.js";
import type { Segmentation } from "./algorithm.js";
import type { Random } from "./random.js";
import { exp, one, plus, ratio, type Scaled, times, zero } from "./scaled.js";

/** SentencePiece drops all but the best hypotheses when there are this many. */
const mostHypotheses = 10_000;
const keptHypotheses = 512;

/** A greater alpha draws nothing else; up to it alpha * score, float32, is finite. */
const greatestAlpha = 1e200;

/** No node, no hypothesis. */
const none = -1;

/**
 * All ways to cut a text into pieces: a node for each piece at each place, in the order in which they were added, which
 * is from left to right and from short to long.
 */
export class Lattice {
  readonly #end: number;
  readonly #begins: number[] = [];
  readonly #codes: number[] = [];
  readonly #scores: number[] = [];
  /** The nodes that end at each place, as linked lists in the order of addition. */
  readonly #first: Int32Array;
  readonly #last: Int32Array;
  readonly #next: number[] = [];

  constructor(end: number) {
    this.#end = end;
    this.#first = new Int32Array(end + 1).fill(none);
    this.#last = new Int32Array(end + 1).fill(none);
  }

  add(begin: number, end: number, code: number, score: number): void {
    const node = this.#codes.length;
    this.#begins.push(begin);
    this.#codes.push(code);
    this.#scores.push(Math.fround(score));
    this.#next.push(none);
    if (this.#first[end] === none) this.#first[end] = node;
    else this.#next[this.#last[end]!] = node;
    this.#last[end] = node;
  }

  /**
   * The best ways, found from the text's end by A* search, with the best score from the beginning as the estimate.
   * All sums are float32, and hypotheses that tie come in the order of libstdc++'s priority queue, as in SentencePiece.
   */
  nBest(count: number): Segmentation[] {
    const results: Segmentation[] = [];
    const best = this.#bestScores();
    // Hypotheses: a node, the rest of the way to the end, and the sum of the scores of both.
    const nodes: number[] = [];
    const rests: number[] = [];
    const sums: number[] = [];
    const estimates: number[] = [];
    let agenda = new AgendaHeap(estimates);
    const expand = (place: number, rest: number, sum: number) => {
      const push = (node: number, score: number, estimate: number) => {
        const hypothesis = nodes.length;
        nodes.push(node);
        rests.push(rest);
        sums.push(Math.fround(score + sum));
        estimates.push(Math.fround(estimate + sum));
        agenda.push(hypothesis);
      };
      if (place === 0) push(none, 0, 0); // the text's beginning is a node of its own, without a score
      for (let node = this.#first[place]!; node !== none; node = this.#next[node]!) {
        push(node, this.#scores[node]!, best[node]!);
      }
    };

    expand(this.#end, none, 0);
    while (agenda.length > 0) {
      const top = agenda.pop();
      if (nodes[top] === none) {
        const codes: number[] = [];
        for (let at = rests[top]!; at !== none; at = rests[at]!) codes.push(this.#codes[nodes[at]!]!);
        results.push({ codes, score: estimates[top]! });
        if (results.length === count) break;
        continue;
      }
      expand(this.#begins[nodes[top]!]!, top, sums[top]!);
      if (agenda.length >= mostHypotheses) {
        const kept = new AgendaHeap(estimates);
        for (let i = Math.min(keptHypotheses, 10 * count); i > 0; i--) kept.push(agenda.pop());
        agenda = kept;
      }
    }
    return results;
  }

  /**
   * A way drawn with probability proportional to exp(alpha * score), from all ways there are: forward filtering, then
   * backward sampling.
   */
  sample(alpha: number, random: Random): number[] {
    const weights = this.#scores.map((score) => exp(Math.min(alpha, greatestAlpha) * score));
    // the sum over all ways from the beginning to each place
    const totals: Scaled[] = [one];
    for (let place = 1; place <= this.#end; place++) {
      let total = zero;
      for (let node = this.#first[place]!; node !== none; node = this.#next[node]!) {
        total = plus(total, times(totals[this.#begins[node]!]!, weights[node]!));
      }
      totals.push(total);
    }
    const codes: number[] = [];
    for (let place = this.#end; place > 0; ) {
      let left = random();
      let chosen = none;
      for (let node = this.#first[place]!; node !== none; node = this.#next[node]!) {
        const way = times(totals[this.#begins[node]!]!, weights[node]!);
        if (way.fraction === 0) continue; // from inside a character, where no way leads
        chosen = node; // the last one, if rounding leaves something over
        left -= ratio(way, totals[place]!);
        if (left < 0) break;
      }
      codes.push(this.#codes[chosen]!);
      place = this.#begins[chosen]!;
    }
    return codes.reverse();
  }

  /** One of the `count` best ways, drawn with probability proportional to exp(alpha * score). */
  sampleOf(count: number, alpha: number, random: Random): readonly number[] {
    const ways = this.nBest(count);
    const weights = ways.map(({ score }) => exp(Math.min(alpha, greatestAlpha) * score));
    const total = weights.reduce(plus, zero);
    let left = random();
    const chosen = weights.findIndex((weight) => {
      left -= ratio(weight, total);
      return left < 0;
    });
    return ways.at(chosen)!.codes;
  }

  /** For each node the best score of a way from the beginning to its end. */
  #bestScores(): Float32Array {
    const best = new Float32Array(this.#codes.length);
    for (let node = 0; node < best.length; node++) {
      const begin = this.#begins[node]!;
      let before = begin === 0 ? 0 : Number.NEGATIVE_INFINITY;
      for (let left = this.#first[begin]!; left !== none; left = this.#next[left]!) {
        before = Math.max(before, best[left]!);
      }
      best[node] = before + this.#scores[node]!;
    }
    return best;
  }
}
