import type { Checkpoint } from "../formats/checkpoint.js";
import { type Piece, place, readPiece } from "./weights.js";

/**
 * Brings the weights of streamed layers into memory, one after the other, again and again. While a layer is computed the next one's bytes are
 * read, in the file's form; after the last layer those of the first, for the next pass. The bytes of one layer are held at most:
 * as a piece is packed into its place, the next layer's is asked for.
 */
export class LayerStream {
  /** Reads of a layer that are under way, a promise for each of its pieces. */
  #ahead: { readonly layer: number; readonly reads: Promise<Uint8Array>[] } | undefined;

  /** @param layers the pieces of each layer, in the order of a pass */
  constructor(
    private readonly checkpoint: Checkpoint,
    private readonly layers: readonly (readonly Piece[])[],
  ) {}

  /**
   * Resolves when the weights of a layer, by its number among the streamed ones, are in their place: those that were there before are
   * gone. Rejects with what the source's read rejects with, and with a NumericError for an Inf or a NaN; another call reads anew.
   */
  async arrive(layer: number): Promise<void> {
    const pieces = this.layers[layer]!;
    const reads = this.#ahead?.layer === layer ? this.#ahead.reads : pieces.map((piece) => this.#read(piece));
    this.#ahead = undefined; // a pass that fails here has nothing that the next one could go on with
    const next = (layer + 1) % this.layers.length;
    const waiting = this.layers[next]!.values();
    const nextReads: Promise<Uint8Array>[] = [];
    for (const piece of pieces) {
      const bytes = await reads.shift()!;
      place(this.checkpoint, piece, bytes);
      const { value } = waiting.next();
      if (value) nextReads.push(this.#read(value));
    }
    for (const piece of waiting) nextReads.push(this.#read(piece));
    this.#ahead = { layer: next, reads: nextReads };
  }

  #read(piece: Piece): Promise<Uint8Array> {
    const bytes = readPiece(this.checkpoint, piece);
    bytes.catch(() => {}); // told when it is awaited, if it ever is
    return bytes;
  }
}
