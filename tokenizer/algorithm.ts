import type { CodeList } from "./code-list.js";
import type { Random } from "./random.js";
import type { SampleOptions } from "./tokenizer.js";

/** Cuts normalized text into pieces. */
export interface PieceAlgorithm {
  /** Adds the codes of the text in bytes [0, end) to `out`. */
  encode(text: Uint8Array, end: number, out: CodeList): void;

  /** The best ways to cut the text, the best first. Only some algorithms compare ways. */
  nBest?(text: Uint8Array, end: number, count: number): Segmentation[];

  /** Adds the codes of the text, cut in one of many possible ways, to `out`. */
  sample?(text: Uint8Array, end: number, options: SampleOptions, random: Random, out: CodeList): void;
}

/** One way to cut a text. */
export interface Segmentation {
  /** As in a CodeList. */
  readonly codes: readonly number[];
  /** The sum of its pieces' scores. */
  readonly score: number;
}
