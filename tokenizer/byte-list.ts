import { encodeUtf8Into } from "./utf8.js";

/** Bytes that are added at the end, in one growing array. */
export class ByteList {
  bytes: Uint8Array;
  length = 0;

  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity);
  }

  push(byte: number): void {
    if (this.length === this.bytes.length) this.#grow(1);
    this.bytes[this.length++] = byte;
  }

  /** Adds bytes [begin, end) of `source`. */
  append(source: Uint8Array, begin: number, end: number): void {
    if (this.length + end - begin > this.bytes.length) this.#grow(end - begin);
    for (let i = begin; i < end; i++) this.bytes[this.length++] = source[i]!;
  }

  /** Adds a text as UTF-8. */
  appendText(text: string): void {
    if (this.length + 3 * text.length > this.bytes.length) this.#grow(3 * text.length);
    this.length += encodeUtf8Into(text, this.bytes.subarray(this.length));
  }

  #grow(more: number): void {
    const larger = new Uint8Array(Math.max(2 * this.bytes.length, this.length + more));
    larger.set(this.bytes);
    this.bytes = larger;
  }
}
