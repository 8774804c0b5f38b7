import { isNode } from "../files/is-node.js";
import {
  blobSource,
  bytesSource,
  fileSource,
  listSource,
  type OwnSource,
  ownSource,
  type Source,
} from "../formats/source.js";
import type { RemoteModel } from "./remote-source.js";

/** What one file can be read from. */
type FileLike = string | URL | Uint8Array | ArrayBuffer | Blob | RemoteModel | OwnSource;

/**
 * What a model or a tokenizer can be read from: a path or file URL (in Node), an address on the web, a file on the hub
 * ("hf:owner/repo/file@revision"), bytes, a Blob or File, or anything that reads
 * ranges; for a model in several files a list of these, parts in their order. The name "tiny" is the model that comes with cria; a
 * file of that name is "./tiny". In a browser a text that is no whole address is one relative to the page.
 */
export type SourceLike = FileLike | readonly FileLike[];

/**
 * Throws a TypeError for what is no source; rejects with the system's error when a file cannot be opened, a NetworkError or StorageError when it
 * cannot be fetched or kept, and the signal's reason, then and in every read from elsewhere than files and memory.
 */
export async function openSource(from: SourceLike, signal?: AbortSignal): Promise<Source> {
  if (isList(from)) return listSource(await openAll(from, signal));
  if (from === "tiny") return bundledSource(signal);
  if (typeof from === "string" || from instanceof URL) return openAddress(from, signal);
  if (from instanceof Uint8Array) return bytesSource(from);
  if (from instanceof ArrayBuffer) return bytesSource(new Uint8Array(from));
  if (from instanceof Blob) return blobSource(from);
  if (typeof from === "object" && from !== null) {
    if (isRemote(from)) return (await remoteSources()).openRemote(from, signal);
    if (typeof from.read === "function") return ownSource(from, signal);
  }
  const found = from === null ? "null" : typeof from;
  throw new TypeError(
    `Cannot open a source: expected a path, a URL, bytes, a Blob, a { url } or a { name, size, read, close }, found ${found}`,
  );
}

async function openAddress(from: string | URL, signal: AbortSignal | undefined): Promise<Source> {
  const address = wholeAddress(from);
  if (!isOnTheWeb(address)) return fileSource(from);
  return (await remoteSources()).openRemote({ url: address }, signal);
}

/** Not with this module: where a worker reads the model, a page would load all this for nothing. */
const remoteSources = () => import("./remote-source.js");

const isOnTheWeb = (address: string) => address.startsWith("hf:") || /^https?:/i.test(address);

/** An address as it is for others too: in a browser one relative to the page is made whole, since a worker has another base. */
export function wholeAddress(from: string | URL): string {
  const address = String(from);
  if (isOnTheWeb(address) || isNode() || address === "tiny") return address;
  return new URL(address, pageAddress()).href;
}

/** What addresses are relative to, in a browser. */
function pageAddress(): string | undefined {
  return globalThis.document?.baseURI ?? globalThis.location?.href;
}

/** Whether a source is described by its address. */
export function isRemote(from: SourceLike): from is RemoteModel {
  return typeof from === "object" && from !== null && "url" in from;
}

function isList(from: SourceLike): from is readonly FileLike[] {
  return Array.isArray(from);
}

/** All of them or, where one cannot be opened, none: those that are open by then are closed. */
async function openAll(files: readonly FileLike[], signal: AbortSignal | undefined): Promise<Source[]> {
  const sources: Source[] = [];
  try {
    for (const file of files) sources.push(await openSource(file, signal));
    return sources;
  } catch (error) {
    await Promise.all(sources.map((source) => source.close()));
    throw error;
  }
}

/** The bundled model. Its module is loaded here only, so that who brings a model of their own is not given this one too. */
async function bundledSource(signal: AbortSignal | undefined): Promise<Source> {
  const { tinyUrl } = await import("../../models/tiny.js");
  if (tinyUrl.protocol === "file:") return fileSource(tinyUrl);
  return (await remoteSources()).openUrl(tinyUrl, signal);
}
