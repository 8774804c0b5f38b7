import { concatenated } from "../formats/join-sources.js";
import { createSha256, Sha256 } from "./sha256.js";
import type { Store } from "./store.js";

/**
 * Files are kept in segments of so many bytes, the last one shorter: browsers cannot add to a file in place. A segment is whole or
 * missing, and ends in its own SHA-256, so that a damaged one is noticed and fetched again.
 */
export const segmentBytes = 1 << 22;

const digestBytes = 32;

/** What is known of a file that is kept, all of it or a part. */
export interface KeptEntry {
  readonly url: string;
  /** In bytes; undefined of a file that the server does not have, which is kept in mind to be known without asking. */
  readonly size: number | undefined;
  /** The server's ETag or date; undefined where it says neither. */
  readonly version: string | undefined;
  /** The SHA-256 that the whole was found to have. */
  readonly sha256: string | undefined;
  /** Milliseconds since 1970. */
  readonly added: number;
}

/** Beside the segments, which are called by their numbers. */
const entryFile = "entry";

/** What folders of kept files are called: by their URL, and by their version. Others in the same place are nobody's business. */
const folderPattern = /^[0-9a-f]{32}-[0-9a-f]{16}$/;

/** A file's segments in a store. */
export class KeptFile {
  private constructor(
    readonly store: Store,
    readonly folder: string,
    public entry: KeptEntry,
    private readonly segments: Set<number>,
  ) {}

  /** A new one without segments; in place of one of the same version, it has that one's. */
  static async create(
    store: Store,
    { url, size, version }: Pick<KeptEntry, "url" | "size" | "version">,
  ): Promise<KeptFile> {
    const folder = `${urlKey(url)}-${versionKey(size, version)}`;
    const entry = { url, size, version, sha256: undefined, added: Date.now() };
    const kept = new KeptFile(store, folder, entry, await segmentsIn(store, folder));
    await kept.writeEntry();
    return kept;
  }

  /** All files in a store, or all versions of one that are there, the newest first. */
  static async list(store: Store, url?: string): Promise<KeptFile[]> {
    const found: KeptFile[] = [];
    for (const folder of await foldersOf(store, url)) {
      const entry = parseEntry(await store.read(folder, entryFile));
      if (entry) found.push(new KeptFile(store, folder, entry, await segmentsIn(store, folder)));
    }
    return found.sort((a, b) => b.entry.added - a.entry.added);
  }

  /** Deletes all files of a store, or all versions of one. */
  static async deleteAll(store: Store, url?: string): Promise<void> {
    for (const folder of await foldersOf(store, url)) await store.deleteFolder(folder);
  }

  get segmentCount(): number {
    return Math.ceil((this.entry.size ?? 0) / segmentBytes);
  }

  /** Bytes of the file that are there. */
  get keptBytes(): number {
    let bytes = 0;
    for (const segment of this.segments) bytes += this.#sizeOf(segment);
    return bytes;
  }

  get isWhole(): boolean {
    return this.keptBytes === this.entry.size;
  }

  /** A segment; undefined where it is missing or damaged. */
  async read(segment: number): Promise<Uint8Array | undefined> {
    const stored = await this.store.read(this.folder, String(segment)).catch(() => undefined); // as good as damaged
    const bytes = stored?.subarray(0, -digestBytes);
    const isSound =
      bytes?.length === this.#sizeOf(segment) &&
      isSame(await digestOf(bytes), stored!.subarray(-digestBytes));
    if (isSound) this.segments.add(segment);
    else this.segments.delete(segment);
    return isSound ? bytes : undefined;
  }

  /** @throws StorageError */
  async write(segment: number, bytes: Uint8Array): Promise<void> {
    const sealed = concatenated([bytes, await digestOf(bytes)]);
    await this.store.write(this.folder, String(segment), sealed);
    this.segments.add(segment);
  }

  /** Notes that the whole file has this hash. */
  async markChecked(sha256: string): Promise<void> {
    this.entry = { ...this.entry, sha256 };
    await this.writeEntry();
  }

  async delete(): Promise<void> {
    this.segments.clear();
    await this.store.deleteFolder(this.folder);
  }

  private async writeEntry(): Promise<void> {
    const json = new TextEncoder().encode(JSON.stringify(this.entry));
    await this.store.write(this.folder, entryFile, json);
  }

  #sizeOf(segment: number): number {
    return Math.min(segmentBytes, (this.entry.size ?? 0) - segment * segmentBytes);
  }
}

async function foldersOf(store: Store, url: string | undefined): Promise<string[]> {
  const prefix = url === undefined ? "" : urlKey(url);
  return (await store.folders()).filter((name) => folderPattern.test(name) && name.startsWith(prefix));
}

async function segmentsIn(store: Store, folder: string): Promise<Set<number>> {
  const names = await store.files(folder);
  return new Set(names.filter((name) => /^\d+$/.test(name)).map(Number));
}

/** Undefined for what is no entry: of a folder that is being deleted, say. */
function parseEntry(bytes: Uint8Array | undefined): KeptEntry | undefined {
  try {
    const { url, size, version, sha256, added } = JSON.parse(new TextDecoder().decode(bytes));
    if (typeof url !== "string" || typeof added !== "number") return undefined;
    return { url, size, version, sha256, added };
  } catch {
    return undefined;
  }
}

function urlKey(url: string): string {
  return hashOf(url).slice(0, 32);
}

function hashOf(text: string): string {
  return new Sha256().update(new TextEncoder().encode(text)).hex();
}

/** Of files whose server tells no version each one is another: there's no saying that they are the same. */
function versionKey(size: number | undefined, version: string | undefined): string {
  const key = size === undefined ? "absent" : `${size} ${version ?? Math.random()}`;
  return hashOf(key).slice(0, 16);
}

/** By the browser's own code, which is many times as fast as ours; it is missing on pages that came over plain http. */
async function digestOf(bytes: Uint8Array): Promise<Uint8Array> {
  const subtle = globalThis.crypto?.subtle;
  if (subtle) return new Uint8Array(await subtle.digest("SHA-256", bytes as BufferSource));
  const hash = createSha256();
  hash.update(bytes);
  return Uint8Array.from(hash.hex().match(/../g)!, (byte) => Number.parseInt(byte, 16));
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
