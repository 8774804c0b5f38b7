import { cannotOpen, type TokenizerError } from "../errors.js";

/** Groups inside groups: protobuf's own limit. */
const maxGroupDepth = 100;

/** The wire types of protobuf; 6 and 7 do not exist. */
export const wire = { varint: 0, fixed64: 1, bytes: 2, groupStart: 3, groupEnd: 4, fixed32: 5 } as const;

/**
 * Walks through the fields of a protobuf message in their order in the file. What they mean, and that the last of
 * several scalars wins, is for the caller:
 *
 *     while (fields.next()) if (fields.number === 1 && fields.type === wire.bytes) { ... fields.begin, fields.end }
 *
 * One walker can be used for many messages (`enter`), since a vocabulary has tens of thousands of small ones.
 *
 * Every method throws a TokenizerError for what protobuf's parser rejects: varints of more than 10 bytes, field 0, wire
 * types 6 and 7, lengths past the end, groups that do not end or nest more than 100 deep.
 */
export class ProtobufWalker {
  /** Of the field that `next` has come to. */
  number = 0;
  type = 0;
  /** The value of a varint field, its low 32 bits as a signed number: all that int32 and enum fields use. */
  value = 0;
  /** Whether any bit of a varint field is set: the value of a bool. */
  truth = false;
  /** The value of a bytes field, and of a fixed32 or fixed64: where it lies. */
  begin = 0;
  end = 0;

  /** Where the next field begins. */
  at = 0;

  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #name: string;
  readonly #message: string;
  #stop: number;

  /** `name` and `message` are for error messages: the vocabulary's name, the message's type. */
  constructor(bytes: Uint8Array, name: string, message: string) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#name = name;
    this.#message = message;
    this.#stop = bytes.length;
  }

  /** Begins at the message in bytes [begin, end). */
  enter(begin: number, end: number): this {
    this.at = begin;
    this.#stop = end;
    return this;
  }

  /** Goes to the next field; false at the end. Groups are passed over, since no schema here has any. */
  next(): boolean {
    for (;;) {
      if (this.at === this.#stop) return false;
      this.#readTag();
      if (this.type === wire.groupStart) this.#skipGroup();
      else if (this.type === wire.groupEnd) {
        throw this.#bad("a field", `the end of group ${this.number}, which was not begun`);
      } else {
        this.#readValue();
        return true;
      }
    }
  }

  /** The value of a fixed32 field as a float. */
  float(): number {
    return this.#view.getFloat32(this.begin, true);
  }

  #readTag(): void {
    const tag = this.#varint32();
    this.number = tag >>> 3;
    this.type = tag & 7;
    if (this.number === 0) throw this.#bad("a field number from 1", "0");
  }

  #readValue(): void {
    switch (this.type) {
      case wire.varint:
        this.#varint();
        break;
      case wire.bytes:
        this.#take(this.#varint32());
        break;
      case wire.fixed32:
        this.#take(4);
        break;
      case wire.fixed64:
        this.#take(8);
        break;
      default:
        throw this.#bad("a wire type from 0 to 5", String(this.type));
    }
  }

  /** Reads to the end of the group whose beginning has just been read; a loop, since groups nest. */
  #skipGroup(): void {
    const open = [this.number];
    while (open.length > 0) {
      if (this.at === this.#stop)
        throw this.#bad(`the end of group ${open.at(-1)}`, "the end of the message");
      this.#readTag();
      if (this.type === wire.groupStart) {
        if (open.push(this.number) > maxGroupDepth) {
          throw this.#bad(`groups nested at most ${maxGroupDepth} deep`, "a deeper one");
        }
      } else if (this.type === wire.groupEnd) {
        const opened = open.pop();
        if (opened !== this.number) {
          throw this.#bad(`the end of group ${opened}`, `the end of group ${this.number}`);
        }
      } else this.#readValue();
    }
  }

  #take(length: number): void {
    if (length > this.#stop - this.at) {
      throw this.#bad(`${length} bytes`, `${this.#stop - this.at} before the end`);
    }
    this.begin = this.at;
    this.end = this.at + length;
    this.at = this.end;
  }

  #byte(): number {
    if (this.at === this.#stop) throw this.#bad("another byte", "the end of the message");
    return this.bytes[this.at++]!;
  }

  #varint(): void {
    this.value = 0;
    this.truth = false;
    for (let i = 0; i < 10; i++) {
      const byte = this.#byte();
      if ((byte & 0x7f) !== 0) this.truth = true;
      if (i < 5) this.value |= (byte & 0x7f) << (7 * i);
      if (byte < 0x80) return;
    }
    throw this.#bad("a number of at most 10 bytes", "a longer one");
  }

  /** A tag or a length: at most 5 bytes and 32 bits. */
  #varint32(): number {
    let value = this.#byte();
    if (value < 0x80) return value;
    value &= 0x7f;
    for (let i = 1; i < 5; i++) {
      const byte = this.#byte();
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) {
        if (value >= 2 ** 32) throw this.#bad("a tag or length below 2^32", String(value));
        return value;
      }
    }
    throw this.#bad("a tag or length of at most 5 bytes", "a longer one");
  }

  #bad(expected: string, found: string): TokenizerError {
    const field = this.number === 0 ? this.#message : `${this.#message}, field ${this.number}`;
    return cannotOpen(this.#name, `${field}: expected ${expected}, found ${found} (at byte ${this.at})`);
  }
}
