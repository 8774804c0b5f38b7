import type { TokenizerModel } from "./model.js";
import { byteOfPiece, idsOfType, pieceText, pieceType } from "./piece-list.js";
import type { StreamDecoder, StreamOptions } from "./tokenizer.js";
import { decodeUtf8, isUnfinished, validLength } from "./utf8.js";

/** What the ids of one model turn into; shared by its decoders. */
export class DecodeTable {
  readonly #model: TokenizerModel;
  readonly #bytes: Int16Array;
  /** Texts of pieces, made when first needed: most of a vocabulary never is. */
  readonly #texts: string[] = [];
  /**
   * The space that encoding puts in front is dropped again from the first piece; where extra spaces are removed, from every
   * piece until there is some text.
   */
  readonly strip: "never" | "once" | "until text";
  /** Whether an invisible piece ends that, too. */
  readonly keepsSpaceAfterControl: boolean;

  constructor(model: TokenizerModel) {
    const { pieces, normalization } = model;
    this.#model = model;
    this.keepsSpaceAfterControl = model.keepsSpaceAfterControl ?? false;
    this.#bytes = new Int16Array(pieces.count).fill(-1);
    for (const id of idsOfType(pieces, pieceType.byte)) this.#bytes[id] = byteOfPiece(pieces, id);
    if (normalization.removeExtraWhitespaces) this.strip = "until text";
    else this.strip = normalization.addDummyPrefix ? "once" : "never";
  }

  /** @throws RangeError for an id that is not in the vocabulary */
  check(id: number): void {
    const { count } = this.#model.pieces;
    if (!(Number.isInteger(id) && id >= 0 && id < count)) {
      throw new RangeError(
        `Cannot decode with ${this.#model.name}: expected an id from 0 to ${count - 1}, found ${id}`,
      );
    }
  }

  /** The byte that a byte piece stands for, or -1 for all others. */
  byte(id: number): number {
    return this.#bytes[id]!;
  }

  /** The text of a piece that is no byte. */
  text(id: number): string {
    let text = this.#model.decodesAs?.get(id) ?? this.#texts[id];
    if (text === undefined) {
      const type = this.#model.pieces.types[id];
      if (type === pieceType.control) text = "";
      else if (type === pieceType.unknown) text = this.#model.unkSurface;
      else text = pieceText(this.#model.pieces, id).replaceAll("\u2581", " ");
      this.#texts[id] = text;
    }
    return text;
  }

  /** Whether the piece begins with a space that encoding may have put there. */
  beginsWithSpace(id: number): boolean {
    // the unknown piece's surface begins with a space too, but that one is text
    return (
      !this.#model.decodesAs?.has(id) &&
      this.#model.pieces.types[id] !== pieceType.unknown &&
      pieceText(this.#model.pieces, id).startsWith("\u2581")
    );
  }
}

/** Decodes ids one by one, as SentencePiece's Decode decodes them together. */
export class PieceDecoder implements StreamDecoder {
  readonly #table: DecodeTable;
  readonly #continues: boolean;
  /** Bytes of byte pieces that are no character yet. */
  readonly #held = new Uint8Array(4);
  #heldLength = 0;
  /** Whether the next piece may lose a space. */
  #strips: boolean;

  constructor(table: DecodeTable, { continues = false }: StreamOptions = {}) {
    this.#table = table;
    this.#continues = continues;
    this.#strips = !continues && table.strip !== "never";
  }

  push(id: number): string {
    this.#table.check(id);
    const byte = this.#table.byte(id);
    if (byte >= 0) {
      this.#held[this.#heldLength++] = byte;
      return this.#release(false);
    }
    const held = this.#release(true); // a run of byte pieces ends here, even if this piece is invisible
    return held + this.#pieceText(id);
  }

  /** Goes on with text that is no piece. */
  pushText(text: string): string {
    const held = this.#release(true);
    if (text !== "") this.#strips = false;
    return held + text;
  }

  end(): string {
    const held = this.#release(true);
    this.#strips = !this.#continues && this.#table.strip !== "never";
    return held;
  }

  #pieceText(id: number): string {
    const text = this.#table.text(id);
    if (!this.#strips) return text;
    if (text === "") {
      this.#strips = !this.#table.keepsSpaceAfterControl;
      return text;
    }
    if (!this.#table.beginsWithSpace(id)) {
      this.#strips = false;
      return text;
    }
    this.#strips = this.#table.strip === "until text" && text.length === 1;
    return text.slice(1);
  }

  /** The characters among the bytes held, and U+FFFD for each byte that cannot become part of one. */
  #release(all: boolean): string {
    const end = this.#heldLength;
    if (end === 0) return "";
    let text = "";
    let at = 0;
    while (at < end) {
      const length = validLength(this.#held, at, end);
      if (length === 0 && !all && isUnfinished(this.#held, at, end)) break;
      text += length === 0 ? "\ufffd" : decodeUtf8(this.#held, at, at + length);
      at += length || 1;
    }
    this.#held.copyWithin(0, at, end);
    this.#heldLength = end - at;
    if (text !== "") this.#strips = false;
    return text;
  }
}
