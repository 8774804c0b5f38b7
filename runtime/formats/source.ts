import { FormatError } from "../errors.js";
import { orAborted } from "../or-aborted.js";
import { quoted } from "./byte-cursor.js";

/** Where the bytes of a checkpoint come from. The one interface for files, URLs, blobs and byte arrays. */
export interface Source {
  /** What errors call it: a path, a URL, or "bytes". */
  readonly name: string;
  /** Total size in bytes. */
  readonly size: number;
  /**
   * The bytes [start, end); always exactly `end - start` of them, else it rejects. Where `into` is given, which holds as many, they may be put there:
   * memory that is used again costs less than new one. What comes back is then a view of it.
   */
  read(start: number, end: number, into?: Uint8Array): Promise<Uint8Array>;
  /**
   * Checks all of it, and of the siblings that were read, against the hashes that they are known to have, once everything needed has been
   * read; what was not read is read for that. Missing where there are no hashes.
   *
   * @throws FormatError for another hash
   */
  verify?(onProgress?: (checked: number, total: number) => void): Promise<void>;
  /** Frees what `read` needs, and the siblings that were opened; a source is not read after it. */
  close(): Promise<void>;
  /**
   * Another file of the same folder, or of those that were given together; undefined where there is none of that name. It is
   * closed with this source. Missing where a source stands alone.
   *
   * @throws FormatError for a name that leads out of the folder
   */
  sibling?(name: string): Promise<Source | undefined>;
  /** All the sources that were given together, in their order, this one included. */
  readonly listed?: readonly Source[];
}

/**
 * A file on disk (Node only); of a folder the file in it that says what is in the others. Rejects with the system's error when it
 * cannot be opened.
 */
export async function fileSource(file: string | URL): Promise<Source> {
  // reached this way and not imported, so that bundlers for the browser do not stumble over "node:" names
  const fs = globalThis.process?.getBuiltinModule?.("node:fs/promises");
  if (!fs)
    throw new TypeError(`Cannot open ${file}: files by path need Node; in a browser pass bytes or a Blob`);
  const name = file instanceof URL ? process.getBuiltinModule("node:url").fileURLToPath(file) : file;
  const stat = await fs.stat(name);
  if (stat.isDirectory()) return mainFileOf(name);
  // before it is opened: opening a pipe waits for its writer
  if (!stat.isFile()) throw new FormatError(`Cannot open ${name}: expected a file, found a device or a pipe`);
  const handle = await fs.open(name, "r");
  const siblings: Source[] = [];
  return {
    name,
    size: stat.size,
    async read(start, end, into) {
      const bytes = into?.subarray(0, end - start) ?? new Uint8Array(end - start);
      let filled = 0;
      while (filled < bytes.length) {
        const { bytesRead } = await handle
          .read(bytes, filled, bytes.length - filled, start + filled)
          .catch((cause) => {
            throw readError(name, start, end, cause);
          });
        if (bytesRead === 0) {
          throw new FormatError(
            `Cannot read ${name}: expected bytes ${start} to ${end}, the file now ends at ${start + filled}`,
          );
        }
        filled += bytesRead;
      }
      return bytes;
    },
    async sibling(other) {
      const { dirname, join } = process.getBuiltinModule("node:path");
      const found = await fileIfThere(join(dirname(name), plainName(other, name)));
      if (found) siblings.push(found);
      return found;
    },
    async close() {
      await Promise.all([handle.close(), ...siblings.map((sibling) => sibling.close())]);
    },
  };
}

/** What the system says of a read names no file. */
function readError(name: string, start: number, end: number, cause: NodeJS.ErrnoException): Error {
  const error = new Error(`Cannot read ${name}: expected bytes ${start} to ${end}, found ${cause.message}`, {
    cause,
  });
  return Object.assign(error, { code: cause.code });
}

async function mainFileOf(folder: string): Promise<Source> {
  const { join } = process.getBuiltinModule("node:path");
  for (const name of mainFiles) {
    const source = await fileIfThere(join(folder, name));
    if (source) return source;
  }
  throw new FormatError(
    `Cannot open ${folder}: expected a file, or a folder with a ${mainFiles.join(" or ")}, found a directory without`,
  );
}

async function fileIfThere(path: string): Promise<Source | undefined> {
  try {
    return await fileSource(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** A name that may come from a file, which must not lead to any other folder. */
export function plainName(name: string, from: string): string {
  if (/^[^/\\:\0]+$/.test(name) && name !== "." && name !== "..") return name;
  throw new FormatError(
    `Cannot open ${quoted(name)} beside ${from}: expected the name of a file in the same folder`,
  );
}

/**
 * Sources that make up one model: the first one, from which the others can be reached. They are closed together. In place of the
 * first it is the one called config.json or params.json, which says what the others are.
 */
export function listSource(sources: readonly Source[]): Source {
  const main = sources.find(isMainFile) ?? sources[0];
  if (!main) throw new TypeError("Cannot open a list of sources: expected one at least, found none");
  return {
    name: main.name,
    size: main.size,
    read: main.read,
    listed: sources,
    async sibling(name) {
      return sources.find((source) => baseName(source.name) === name);
    },
    async verify(onProgress) {
      for (const source of sources) await source.verify?.(onProgress);
    },
    async close() {
      await Promise.all(sources.map((source) => source.close()));
    },
  };
}

/** The file of a folder that says what is in the others: Hugging Face's and Meta's. */
export const mainFiles: readonly string[] = ["config.json", "params.json"];

/** Whether a source is such a file. */
export function isMainFile({ name }: Source): boolean {
  return mainFiles.includes(baseName(name));
}

/** The last part of a path or URL. */
export function baseName(name: string): string {
  return name.slice(Math.max(name.lastIndexOf("/"), name.lastIndexOf("\\")) + 1);
}

/** Bytes in memory. They are not copied: they must not change while the source is in use. */
export function bytesSource(given: Uint8Array, name = "bytes"): Source {
  // a plain view: the slice of Node's Buffer shares memory where a Uint8Array's copies
  const bytes = new Uint8Array(given.buffer, given.byteOffset, given.byteLength);
  return {
    name,
    size: bytes.length,
    async read(start, end) {
      if (start < 0 || end > bytes.length) {
        throw new FormatError(
          `Cannot read ${name}: expected bytes ${start} to ${end}, it has ${bytes.length}`,
        );
      }
      return bytes.subarray(start, end);
    },
    async close() {},
  };
}

/** A Blob or File, as a browser's file input gives it. */
export function blobSource(blob: Blob): Source {
  const name = "name" in blob ? String(blob.name) : "blob";
  return {
    name,
    size: blob.size,
    read: async (start, end) => {
      const bytes = new Uint8Array(await blob.slice(start, end).arrayBuffer());
      if (bytes.length !== end - start) {
        throw new FormatError(`Cannot read ${name}: expected bytes ${start} to ${end}, it has ${blob.size}`);
      }
      return bytes;
    },
    async close() {},
  };
}

/** What a caller passes as a source of their own: without a `close` there is nothing to free. */
export type OwnSource = Pick<Source, "name" | "size" | "read"> & Partial<Pick<Source, "close">>;

/**
 * A source that a caller has written, held to the interface: it may be wrong, and reads are packed as they come. Its reads may
 * never end, so they reject with the signal's reason when that is aborted.
 */
export function ownSource(own: OwnSource, signal?: AbortSignal): Source {
  const { size } = own;
  const name = String(own.name ?? "a source");
  if (!Number.isSafeInteger(size) || size < 0) {
    throw new TypeError(`Cannot open ${name}: expected its size in bytes, found ${String(size)}`);
  }
  return {
    name,
    size,
    async read(start, end) {
      signal?.throwIfAborted();
      const bytes: unknown = await orAborted(own.read(start, end), signal);
      if (!(bytes instanceof Uint8Array) || bytes.length !== end - start) {
        const found = bytes instanceof Uint8Array ? `${bytes.length}` : `no Uint8Array but ${typeof bytes}`;
        throw new FormatError(
          `Cannot read ${name}: expected ${end - start} bytes from byte ${start} on, its read gave ${found}`,
        );
      }
      return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    },
    async close() {
      await own.close?.();
    },
  };
}
