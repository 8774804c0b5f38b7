import {
  blobSource,
  bytesSource,
  fileSource,
  listSource,
  type OwnSource,
  ownSource,
  type Source,
} from "../formats/source.js";

/** What one file can be read from. */
type FileLike = string | URL | Uint8Array | ArrayBuffer | Blob | OwnSource;

/**
 * What a model or a tokenizer can be read from: a path or file URL (in Node), bytes, a Blob or File, or anything that reads
 * ranges; for a model in several files a list of these, parts in their order. The name "tiny" is the model that comes with cria; a
 * file of that name is "./tiny".
 */
export type SourceLike = FileLike | readonly FileLike[];

/** Throws a TypeError for what is no source; rejects with the system's error when a file cannot be opened. */
export async function openSource(from: SourceLike): Promise<Source> {
  if (isList(from)) return listSource(await openAll(from));
  if (from === "tiny") return bundledSource();
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
  if (typeof from === "object" && from !== null && typeof from.read === "function") return ownSource(from);
  const found = from === null ? "null" : typeof from;
  throw new TypeError(
    `Cannot open a source: expected a path, a URL, bytes, a Blob or a { name, size, read, close }, found ${found}`,
  );
}

function isList(from: SourceLike): from is readonly FileLike[] {
  return Array.isArray(from);
}

/** All of them or, where one cannot be opened, none: those that are open by then are closed. */
async function openAll(files: readonly FileLike[]): Promise<Source[]> {
  const sources: Source[] = [];
  try {
    for (const file of files) sources.push(await openSource(file));
    return sources;
  } catch (error) {
    await Promise.all(sources.map((source) => source.close()));
    throw error;
  }
}

/** The bundled model. Its module is loaded here only, so that who brings a model of their own is not given this one too. */
async function bundledSource(): Promise<Source> {
  const { tinyUrl } = await import("../../models/tiny.js");
  if (tinyUrl.protocol === "file:") return fileSource(tinyUrl);
  const response = await fetch(tinyUrl);
  if (!response.ok) {
    throw new Error(`Cannot fetch ${tinyUrl}: expected the bundled model, found status ${response.status}`);
  }
  return bytesSource(new Uint8Array(await response.arrayBuffer()), String(tinyUrl));
}
