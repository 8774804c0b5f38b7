/** Turns places in a text's UTF-8 into places in the string it was made of. They have to be asked for in order. */
export class Utf16Offsets {
  readonly #bytes: Uint8Array;
  #byte = 0;
  #unit = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  at(byte: number): number {
    while (this.#byte < byte) {
      const lead = this.#bytes[this.#byte++]!;
      // a trail byte is part of the unit before; what takes four bytes in UTF-8 takes two units in UTF-16
      if ((lead & 0xc0) !== 0x80) this.#unit += lead < 0xf0 ? 1 : 2;
    }
    return this.#unit;
  }
}
