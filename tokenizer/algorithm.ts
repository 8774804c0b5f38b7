import type { CodeList } from "./code-list.js";

/** Cuts normalized text into pieces. */
export interface PieceAlgorithm {
  /** Adds the codes of the text in bytes [0, end) to `out`. */
  encode(text: Uint8Array, end: number, out: CodeList): void;
}
