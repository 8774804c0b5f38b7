import { FormatError } from "../errors.js";

/** Thrown when a header goes on past the bytes that have been read so far, while the file itself goes on too. */
export class WindowEnd extends Error {
  override name = "WindowEnd";

  /** @param end where the value ends that the window is too short for */
  constructor(readonly end: number) {
    super();
  }
}

/**
 * Strings and nested arrays of one header. They take time and memory far beyond their bytes: 16 million empty strings,
 * nothing but zeros of a sparse file, take 12 seconds. The largest vocabularies have 262,144 tokens, and those of
 * byte-pair encoding about twice as many merges as tokens.
 */
const maxObjects = 2 ** 21;

/**
 * Reads little-endian values one after the other from the beginning of a file, of which only a first window may have
 * been read. Running past the end of the file is a FormatError; running past the window only is a WindowEnd, upon
 * which the caller comes back with a larger one.
 *
 * Each method takes the field's name, for the error message.
 */
export class ByteCursor {
  position = 0;
  #objects = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #fileName: string;
  readonly #fileSize: number;

  constructor(window: Uint8Array, fileName: string, fileSize: number) {
    this.#bytes = window;
    this.#view = new DataView(window.buffer, window.byteOffset, window.byteLength);
    this.#fileName = fileName;
    this.#fileSize = fileSize;
  }

  u8(field: string): number {
    return this.#view.getUint8(this.#take(1, field));
  }

  u32(field: string): number {
    return this.#view.getUint32(this.#take(4, field), true);
  }

  u64(field: string): bigint {
    return this.#view.getBigUint64(this.#take(8, field), true);
  }

  /** A u64 that has to be a number JavaScript can count with. */
  size(field: string): number {
    const value = this.u64(field);
    if (value > Number.MAX_SAFE_INTEGER) throw this.bad(field, "a size below 2^53", String(value));
    return Number(value);
  }

  /**
   * A u64 that says how many elements follow, of at least `minBytes` each. It is checked against what the file still
   * holds, so that nothing is allocated or looped over because a number in the file says so.
   */
  count(field: string, minBytes: number): number {
    const value = this.size(field);
    const most = Math.floor((this.#fileSize - this.position) / minBytes);
    if (value > most) {
      throw this.bad(
        field,
        `at most ${grouped(most)}, which is what the rest of the file can hold`,
        grouped(value),
      );
    }
    return value;
  }

  /** The next bytes, as a view into the window. */
  take(length: number, field: string): Uint8Array {
    const start = this.#take(length, field);
    return this.#bytes.subarray(start, start + length);
  }

  /** The next values through a DataView: its offset is `position` before the call. */
  view(length: number, field: string): DataView {
    const start = this.#take(length, field);
    return new DataView(this.#view.buffer, this.#view.byteOffset + start, length);
  }

  /** Counts objects about to be made against the most that a header may ask for. */
  spend(objects: number, field: string): void {
    this.#objects += objects;
    if (this.#objects > maxObjects) {
      const most = `at most ${grouped(maxObjects)} strings and arrays in the header`;
      throw this.bad(field, most, `${grouped(objects)} more`);
    }
  }

  /** Makes sure that so many bytes follow; where a whole array follows, this spares reading half of it in vain. */
  need(length: number, field: string): void {
    const end = this.position + length;
    if (end > this.#fileSize) {
      throw new FormatError(
        `Cannot read ${this.#fileName}: ${field}: expected ${grouped(length)} bytes at byte ${grouped(this.position)}, ` +
          `the file ends at ${grouped(this.#fileSize)}`,
      );
    }
    if (end > this.#bytes.length) throw new WindowEnd(end);
  }

  /** The error to throw for a field that was read and found wrong. */
  bad(field: string, expected: string, found: string): FormatError {
    return new FormatError(
      `Cannot read ${this.#fileName}: ${field}: expected ${expected}, found ${found} (before byte ${grouped(this.position)})`,
    );
  }

  #take(length: number, field: string): number {
    this.need(length, field);
    const start = this.position;
    this.position += length;
    return start;
  }
}

/** A number for people: 91,226,112. */
export function grouped(value: number): string {
  return value.toLocaleString("en-US");
}

/** A text from a file, for an error message: at most 80 characters of it. */
export function quoted(text: string): string {
  return text.length > 80 ? `"${text.slice(0, 77)}..." (${grouped(text.length)} characters)` : `"${text}"`;
}
