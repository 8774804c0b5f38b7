import { checkNames, checkOption } from "../check-options.js";
import { chooseStore, isNode } from "../files/choose-store.js";
import { hubFile, isHubName } from "../files/hub.js";
import { urlSource } from "../files/url-source.js";
import {
  blobSource,
  bytesSource,
  fileSource,
  listSource,
  type OwnSource,
  ownSource,
  type Source,
} from "../formats/source.js";

/**
 * A file on a web server, with what an address alone does not say. Fetching it, and its siblings where the model is in several files,
 * is the only reason for which cria ever uses the network.
 */
export interface RemoteModel {
  /** `https:` or `http:`, or a file on Hugging Face's hub: `hf:owner/repo/file@revision`. An address that ends in a slash is a folder. */
  readonly url: string | URL;
  /** What the whole file has to have, 64 hexadecimal digits. Default: what the hub says, for files of the hub that are kept. */
  readonly sha256?: string | undefined;
  /** Sent with each request to the file's server, such as an Authorization. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /**
   * Whether the file is kept on this device, to be there without the network the next time: true or false in a browser, in Node the
   * path of a folder. Default: in a browser it is kept where the browser allows it, in Node it is not.
   */
  readonly cache?: boolean | string | undefined;
  /** Another hub, by its address. Default: the environment variable HF_ENDPOINT, else https://huggingface.co. */
  readonly hub?: string | undefined;
}

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
    if (isRemote(from)) return openRemote(from, signal);
    if (typeof from.read === "function") return ownSource(from, signal);
  }
  const found = from === null ? "null" : typeof from;
  throw new TypeError(
    `Cannot open a source: expected a path, a URL, bytes, a Blob, a { url } or a { name, size, read, close }, found ${found}`,
  );
}

async function openAddress(from: string | URL, signal: AbortSignal | undefined): Promise<Source> {
  const address = wholeAddress(from);
  return isOnTheWeb(address) ? openRemote({ url: address }, signal) : fileSource(from);
}

const isOnTheWeb = (address: string) => isHubName(address) || /^https?:/i.test(address);

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

const remoteOptions = [
  "url",
  "sha256",
  "headers",
  "cache",
  "hub",
] as const satisfies readonly (keyof RemoteModel)[];

async function openRemote(remote: RemoteModel, signal: AbortSignal | undefined): Promise<Source> {
  const doing = `open ${remote.url}`;
  checkNames(doing, remote, remoteOptions);
  const { headers, cache } = remote;
  const sha256 = remote.sha256?.toLowerCase();
  checkOption(
    doing,
    "sha256",
    sha256,
    "64 hexadecimal digits",
    sha256 === undefined || /^[0-9a-f]{64}$/.test(sha256),
  );
  const address = String(remote.url);
  const hub = isHubName(address) ? hubFile(address, remote.hub) : undefined;
  const url = hub?.url ?? new URL(address);
  if (!/^https?:$/.test(url.protocol)) {
    throw new TypeError(
      `Cannot ${doing}: expected an address with https:, http: or hf:, found ${url.protocol}`,
    );
  }
  return urlSource(url, { store: await chooseStore(cache), sha256, hub, headers, signal });
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
  return urlSource(tinyUrl, { store: await chooseStore(undefined), signal });
}
