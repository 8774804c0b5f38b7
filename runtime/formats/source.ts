import { FormatError } from "../errors.js";

/** Where the bytes of a checkpoint come from. The one interface for files, URLs, blobs and byte arrays. */
export interface Source {
  /** What errors call it: a path, a URL, or "bytes". */
  readonly name: string;
  /** Total size in bytes. */
  readonly size: number;
  /** The bytes [start, end); always exactly `end - start` of them, else it rejects. */
  read(start: number, end: number): Promise<Uint8Array>;
  /** Frees what `read` needs; a source is not read after it. */
  close(): Promise<void>;
}

/** A file on disk (Node only). Rejects with the system's error when it cannot be opened. */
export async function fileSource(path: string | URL): Promise<Source> {
  // reached this way and not imported, so that bundlers for the browser do not stumble over "node:" names
  const fs = globalThis.process?.getBuiltinModule?.("node:fs/promises");
  if (!fs)
    throw new TypeError(`Cannot open ${path}: files by path need Node; in a browser pass bytes or a Blob`);
  const name = String(path);
  const stat = await fs.stat(path);
  // before it is opened: opening a pipe waits for its writer
  if (!stat.isFile()) {
    const found = stat.isDirectory() ? "a directory" : "a device or a pipe";
    throw new FormatError(`Cannot open ${name}: expected a file, found ${found}`);
  }
  const handle = await fs.open(path, "r");
  return {
    name,
    size: stat.size,
    async read(start, end) {
      const bytes = new Uint8Array(end - start);
      let filled = 0;
      while (filled < bytes.length) {
        const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, start + filled);
        if (bytesRead === 0) {
          throw new FormatError(
            `Cannot read ${name}: expected bytes ${start} to ${end}, the file now ends at ${start + filled}`,
          );
        }
        filled += bytesRead;
      }
      return bytes;
    },
    close: () => handle.close(),
  };
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
export type OwnSource = Omit<Source, "close"> & Partial<Pick<Source, "close">>;

/** A source that a caller has written, held to the interface: it may be wrong, and reads are packed as they come. */
export function ownSource(own: OwnSource): Source {
  const { size } = own;
  const name = String(own.name ?? "a source");
  if (!Number.isSafeInteger(size) || size < 0) {
    throw new TypeError(`Cannot open ${name}: expected its size in bytes, found ${String(size)}`);
  }
  return {
    name,
    size,
    async read(start, end) {
      const bytes: unknown = await own.read(start, end);
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
