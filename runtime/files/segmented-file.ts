import { FormatError, StorageError } from "../errors.js";
import { grouped } from "../formats/byte-cursor.js";
import { type KeptFile, segmentBytes } from "./kept-file.js";
import type { RemoteFile } from "./remote-file.js";
import { createSha256, type Hasher } from "./sha256.js";

/**
 * Segments held in memory: weights are read a few megabytes at a time, mostly forward, and from two places at once where the rows of
 * a matrix are put into another order.
 */
const heldSegments = 4;

export interface SegmentedFileOptions {
  readonly size: number;
  /** Whether the server gives parts of the file. If not, there has to be a place to keep it. */
  readonly ranged: boolean;
  readonly kept: KeptFile | undefined;
  /** The hash that the whole has to have, in lower case. */
  readonly sha256: string | undefined;
  readonly signal: AbortSignal | undefined;
}

/** A file on a server that is read in segments, each from where it is kept or, where it isn't, from the server, and kept then. */
export class SegmentedFile {
  readonly #remote: RemoteFile;
  readonly #options: SegmentedFileOptions;
  /** The segments last used, the latest last. */
  readonly #held = new Map<number, Uint8Array>();
  /** The hash of the first `hashed` segments, followed as they come by in their order. */
  readonly #hash: Hasher | undefined;
  #hashed = 0;
  /** Reads follow each other: they share one connection. */
  #last: Promise<unknown> = Promise.resolve();
  /** The segment that is being kept while the next one is fetched; rejects where there is no room for it. */
  #keeping: Promise<void> = Promise.resolve();
  #written = 0;
  #isRead = false;

  constructor(remote: RemoteFile, options: SegmentedFileOptions) {
    this.#remote = remote;
    this.#options = options;
    const { sha256, kept } = options;
    if (sha256 !== undefined && kept?.entry.sha256 !== sha256) this.#hash = createSha256();
  }

  /** The bytes [start, end). */
  async read(start: number, end: number): Promise<Uint8Array> {
    const { size } = this.#options;
    if (!(start >= 0 && start <= end && end <= size)) {
      throw new FormatError(
        `Cannot read ${this.#remote.name}: expected bytes ${start} to ${end}, it has ${size}`,
      );
    }
    this.#isRead = true;
    const bytes = new Uint8Array(end - start);
    for (let at = start; at < end; ) {
      const number = Math.floor(at / segmentBytes);
      const segment = await this.#segment(number);
      const from = at - number * segmentBytes;
      const piece = segment.subarray(from, Math.min(from + end - at, segment.length));
      bytes.set(piece, at - start);
      at += piece.length;
    }
    return bytes;
  }

  /**
   * Waits until what was read is kept. Reads what has not been read, and checks the whole against the hash that it has to have; does nothing where there is none, it
   * has been checked before, or no byte of the file has been used.
   *
   * @throws FormatError for another hash; the file is then no longer kept
   * @throws StorageError where there is no room
   */
  async verify(onProgress?: (checked: number, total: number) => void): Promise<void> {
    const { sha256, kept, size } = this.#options;
    await this.#keeping;
    if (!this.#hash || !this.#isRead) return;
    while (this.#hashed * segmentBytes < size) {
      await this.#segment(this.#hashed);
      onProgress?.(Math.min(this.#hashed * segmentBytes, size), size);
    }
    await this.#keeping;
    const found = this.#hash.hex();
    if (found === sha256) return kept?.markChecked(found);
    await kept?.delete();
    throw new FormatError(`Cannot use ${this.#remote.name}: expected the SHA-256 ${sha256}, found ${found}`);
  }

  async close(): Promise<void> {
    this.#remote.close();
    this.#held.clear();
    await this.#keeping.catch(() => {}); // who goes on reading, or verifies, is told
  }

  async #segment(number: number): Promise<Uint8Array> {
    const one = this.#last.then(
      () => this.#find(number),
      () => this.#find(number),
    );
    this.#last = one;
    const bytes = await one;
    if (number === this.#hashed && this.#hash) {
      this.#hash.update(bytes);
      this.#hashed++;
    }
    return bytes;
  }

  async #find(number: number): Promise<Uint8Array> {
    const { kept, signal } = this.#options;
    signal?.throwIfAborted();
    const bytes =
      this.#held.get(number) ?? (kept ? await this.#keptOrFetched(kept, number) : await this.#fetch(number));
    this.#held.delete(number); // to be the latest
    this.#held.set(number, bytes);
    if (this.#held.size > heldSegments) this.#held.delete(this.#held.keys().next().value!);
    return bytes;
  }

  /** Two pages that want the same segment wait for each other: the second finds what the first one has fetched. */
  async #keptOrFetched(kept: KeptFile, number: number): Promise<Uint8Array> {
    const stored = await kept.read(number);
    if (stored) return stored;
    return new Promise((resolve, reject) => {
      locked(`${kept.folder} ${number}`, this.#options.signal, async () => {
        resolve((await kept.read(number)) ?? (await this.#fetch(number)));
        await this.#keeping; // until the others can find it
      }).catch(reject);
    });
  }

  async #fetch(number: number): Promise<Uint8Array> {
    // a server that knows no ranges sends everything in front as well, once if all of it is kept
    const first = this.#options.ranged
      ? number
      : Math.min(Math.ceil(this.#remote.position / segmentBytes), number);
    for (let before = first; before < number; before++) await this.#fetchOne(before);
    return this.#fetchOne(number);
  }

  async #fetchOne(number: number): Promise<Uint8Array> {
    const { size, kept } = this.#options;
    const start = number * segmentBytes;
    const bytes = new Uint8Array(Math.min(segmentBytes, size - start));
    this.#remote.seek(start);
    await this.#remote.fill(bytes);
    if (kept) await this.#keep(kept, number, bytes);
    return bytes;
  }

  async #keep(kept: KeptFile, number: number, bytes: Uint8Array): Promise<void> {
    await this.#keeping;
    // headers are looked into whatever the room; who goes on reading will read all of the file
    if (this.#written === 1) await checkRoom(kept);
    this.#written++;
    this.#keeping = kept.write(number, bytes);
    this.#keeping.catch(() => {}); // told by whoever comes next
  }
}

/** Better now than after hours of downloading. */
async function checkRoom({ store, entry, keptBytes }: KeptFile): Promise<void> {
  const needed = (entry.size ?? 0) - keptBytes;
  const room = await store.room();
  if (room === undefined || room >= needed) return;
  throw new StorageError(
    `Cannot keep ${entry.url} in ${store.name}: expected room for ${grouped(needed)} bytes, found ${grouped(Math.max(room, 0))}; delete other models, or load without a cache`,
  );
}

/** Runs alone among all pages of this site, where there are locks. Without, two of them may fetch the same: whole all the same. */
async function locked<T>(name: string, signal: AbortSignal | undefined, run: () => Promise<T>): Promise<T> {
  const locks = globalThis.navigator?.locks;
  if (!locks) return run();
  return locks.request(`cria ${name}`, signal ? { signal } : {}, run);
}
