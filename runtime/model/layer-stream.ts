import type { Checkpoint } from "../formats/checkpoint.js";
import { type Piece, pieceBytes, place, readPiece } from "./weights.js";

/** A piece that is being read, perhaps into an array of its size. */
interface Read {
  readonly bytes: Promise<Uint8Array>;
  readonly into: Uint8Array;
}

/**
 * Brings the weights of streamed layers into memory, one after the other, again and again. While a layer is computed the next one's bytes are
 * read, in the file's form; after the last layer those of the first, for the next pass. The bytes of one layer are held at most:
 * as a piece is packed into its place, the next layer's is asked for.
 */
export class LayerStream {
  /** Reads of a layer that are under way, for each of its pieces. */
  #ahead: { readonly layer: number; readonly reads: Read[] } | undefined;
  /** Counts calls of arrive(): one that has been overtaken must not touch the weights any more. */
  #arrivals = 0;
  /** Arrays that have been read into and packed from, by their sizes. */
  readonly #free = new Map<number, Uint8Array[]>();

  /** @param layers the pieces of each layer, in the order of a pass */
  constructor(
    private readonly checkpoint: Checkpoint,
    private readonly layers: readonly (readonly Piece[])[],
  ) {}

  /**
   * Resolves when the weights of a layer, by its number among the streamed ones, are in their place: those that were there before are
   * gone. Rejects with what the source's read rejects with, and with a NumericError for an Inf or a NaN; another call reads anew. A call that is made
   * while another one waits, whose pass has been given up, takes its place: the other one rejects.
   */
  async arrive(layer: number): Promise<void> {
    const me = ++this.#arrivals;
    const pieces = this.layers[layer]!;
    const reads = this.#ahead?.layer === layer ? this.#ahead.reads : pieces.map((piece) => this.#read(piece));
    this.#ahead = undefined; // a pass that fails here has nothing that the next one could go on with
    const next = (layer + 1) % this.layers.length;
    const waiting = this.layers[next]!.values();
    const nextReads: Read[] = [];
    for (const piece of pieces) {
      const { bytes, into } = reads.shift()!;
      const weights = await bytes;
      if (me !== this.#arrivals) throw new Error("Cannot go on with a pass: another one has begun");
      place(this.checkpoint, piece, weights);
      this.#free.get(into.length)!.push(into);
      const { value } = waiting.next();
      if (value) nextReads.push(this.#read(value));
    }
    for (const piece of waiting) nextReads.push(this.#read(piece));
    this.#ahead = { layer: next, reads: nextReads };
  }

  #read(piece: Piece): Read {
    const size = pieceBytes(piece);
    let free = this.#free.get(size);
    if (!free) {
      free = [];
      this.#free.set(size, free);
    }
    // what a failed pass has left under way is not among them: it may still be written to
    const into = free.pop() ?? new Uint8Array(size);
    const bytes = readPiece(this.checkpoint, piece, into);
    bytes.catch(() => {}); // told when it is awaited, if it ever is
    return { bytes, into };
  }
}
