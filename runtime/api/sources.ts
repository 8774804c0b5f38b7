import { blobSource, bytesSource, fileSource, type Source } from "../formats/source.js";

/** What a model or a tokenizer can be read from: a path or file URL (in Node), bytes, a Blob or File, or anything that reads ranges. */
export type SourceLike = string | URL | Uint8Array | ArrayBuffer | Blob | Source;

/** Throws a TypeError for what is no source; rejects with the system's error when a file cannot be opened. */
export async function openSource(from: SourceLike): Promise<Source> {
  if (typeof from === "string" || from instanceof URL) {
    if (/^https?:/.test(String(from))) {
      throw new TypeError(
        `Cannot open ${from}: expected a path, bytes or a Blob, found an address; fetch it and pass its bytes`,
      );
    }
    return fileSource(from);
  }
  if (from instanceof Uint8Array) return bytesSource(from);
  if (from instanceof ArrayBuffer) return bytesSource(new Uint8Array(from));
  if (from instanceof Blob) return blobSource(from);
  if (typeof from === "object" && from !== null && typeof from.read === "function") return from;
  const found = from === null ? "null" : typeof from;
  throw new TypeError(
    `Cannot open a source: expected a path, a URL, bytes, a Blob or a { name, size, read, close }, found ${found}`,
  );
}
