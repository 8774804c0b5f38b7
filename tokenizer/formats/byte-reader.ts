import { cannotOpen, type TokenizerError } from "../errors.js";

/**
 * Reads a vocabulary's bytes one field after the other, and throws a TokenizerError rather than read past the end.
 * Methods take the field's name, for the message.
 */
export class ByteReader {
  at: number;
  readonly bytes: Uint8Array;
  readonly end: number;
  readonly #view: DataView;
  readonly #name: string;

  constructor(bytes: Uint8Array, name: string, begin = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = begin;
    this.end = end;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#name = name;
  }

  get atEnd(): boolean {
    return this.at === this.end;
  }

  u8(field: string): number {
    return this.bytes[this.skip(1, field)]!;
  }

  /** Little-endian, like all numbers here. */
  u32(field: string): number {
    return this.#view.getUint32(this.skip(4, field), true);
  }

  i32(field: string): number {
    return this.#view.getInt32(this.skip(4, field), true);
  }

  f32(field: string): number {
    return this.#view.getFloat32(this.skip(4, field), true);
  }

  /** A u64; inexact past 2^53, which no length or count of a real file reaches. */
  u64(field: string): number {
    const start = this.skip(8, field);
    return this.#view.getUint32(start, true) + 2 ** 32 * this.#view.getUint32(start + 4, true);
  }

  /** Passes `length` bytes and tells where they began. */
  skip(length: number, field: string): number {
    const start = this.at;
    if (!(length <= this.end - start)) {
      throw this.bad(field, `${length} bytes`, `${this.end - start} before the end`);
    }
    this.at = start + length;
    return start;
  }

  bad(field: string, expected: string, found: string): TokenizerError {
    return cannotOpen(this.#name, `${field}: expected ${expected}, found ${found} (at byte ${this.at})`);
  }
}
