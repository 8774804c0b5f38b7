import { FormatError, NetworkError } from "../errors.js";
import { grouped } from "../formats/byte-cursor.js";
import { mainFiles, plainName, type Source } from "../formats/source.js";
import { urlName } from "./connection.js";
import type { HubFile } from "./hub.js";
import { KeptFile, segmentBytes } from "./kept-file.js";
import { memoryStore } from "./memory-store.js";
import {
  defaultPatience,
  type Patience,
  type RemoteAnswer,
  type RemoteFacts,
  RemoteFile,
} from "./remote-file.js";
import { SegmentedFile } from "./segmented-file.js";
import type { Store } from "./store.js";

export interface UrlSourceOptions {
  /** Where the file is kept, and looked for. Without, it is read from the server only. */
  readonly store?: Store | undefined;
  /** The hash that the file has to have. */
  readonly sha256?: string | undefined;
  /** Where the hashes of the file and its siblings are asked for, of those that none is given for. */
  readonly hub?: HubFile | undefined;
  /** Sent with each request. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Ends the opening, and every read. */
  readonly signal?: AbortSignal | undefined;
  readonly patience?: Patience | undefined;
}

/** The most that is held in memory of a file that has to be had whole first, and that nothing else keeps. */
const maxBytesInMemory = 2 ** 30;

/** With a copy of its own to fall back on, nobody waits long for a server. */
const hurried: Patience = { ...defaultPatience, attempts: 1, stallMs: 5_000 };

/**
 * A file on a web server, read by ranges; of a folder, an address that ends in a slash, the file in it that says what is in the others.
 * Its siblings are the files with the same address up to the last slash.
 *
 * With a store a file is fetched once: it is read from the store when the server has no newer one, and when the server cannot be reached. What an earlier
 * reading left is gone on with. Of a file that comes with neither ETag nor date nobody can say that, so it is fetched anew whenever the server answers. A server that knows no ranges, or does not say how long its file is, is read once from front to end,
 * into the store or, up to 1 GiB, into memory.
 *
 * @throws NetworkError where the server cannot be reached, or does not have the file
 * @throws FormatError for a web page in place of the file
 * @throws StorageError where the store has no room for it
 */
export async function urlSource(url: URL, options: UrlSourceOptions = {}): Promise<Source> {
  if (url.pathname.endsWith("/")) return mainFileOf(url, options);
  const { file, size, kept, others } = await openFile(url, options);
  const siblings: Source[] = [];
  return {
    name: urlName(url.href),
    size,
    read: (start, end) => file.read(start, end),
    async sibling(name) {
      const found = await ifThere(besideUrl(url, plainName(name, urlName(url.href))), options);
      if (found) siblings.push(found);
      return found;
    },
    async verify(onProgress) {
      await file.verify(onProgress);
      for (const sibling of siblings) await sibling.verify?.(onProgress);
    },
    async close() {
      await file.close();
      if (kept?.isWhole) await deleteAll(others);
      await Promise.all(siblings.map((sibling) => sibling.close()));
    },
  };
}

async function mainFileOf(folder: URL, options: UrlSourceOptions): Promise<Source> {
  for (const name of mainFiles) {
    const source = await ifThere(besideUrl(folder, name), options);
    if (source) return source;
  }
  throw new FormatError(
    `Cannot open ${urlName(folder.href)}: expected a folder with a ${mainFiles.join(" or ")}, found neither`,
  );
}

/** An address that differs in what comes after the last slash. A query stays, since it may say who is asking. */
function besideUrl(url: URL, name: string): URL {
  const beside = new URL(encodeURIComponent(name), url);
  beside.search = url.search;
  return beside;
}

/** What servers say of files that they don't have: some do not tell strangers which there are. */
const absentStatuses: readonly (number | undefined)[] = [403, 404, 410];

/** Like urlSource, but undefined where the server has no such file. Which it hasn't is kept in mind, for when it cannot be asked. */
async function ifThere(url: URL, options: UrlSourceOptions): Promise<Source | undefined> {
  const { store } = options;
  try {
    return await urlSource(url, { ...options, sha256: undefined });
  } catch (error) {
    // a server of pages may answer with its main page to whatever it does not know
    const isAbsent =
      error instanceof FormatError ||
      (error instanceof NetworkError && absentStatuses.includes(error.status));
    if (isAbsent) {
      if (store) await KeptFile.create(store, { url: url.href, size: undefined, version: undefined });
      return undefined;
    }
    if (store && error instanceof NetworkError) {
      const [newest] = await KeptFile.list(store, url.href);
      if (newest && newest.entry.size === undefined) return undefined;
    }
    throw error;
  }
}

interface OpenedFile {
  readonly file: SegmentedFile;
  readonly size: number;
  /** Undefined where nothing keeps it. */
  readonly kept: KeptFile | undefined;
  /** Other versions of it that are kept. */
  readonly others: readonly KeptFile[];
}

async function openFile(url: URL, options: UrlSourceOptions): Promise<OpenedFile> {
  const { headers = {}, signal, patience = defaultPatience, store } = options;
  const versions = store ? await KeptFile.list(store, url.href) : [];
  const whole = versions.find((version) => version.isWhole);
  const remote = new RemoteFile(url.href, { headers, signal, patience });
  try {
    const asked = whole ? await askInHurry(remote, signal) : await remote.open();
    const answer = asked ?? { ...whole!.entry, ranged: true };
    const isKept = whole && (!asked || isVersion(whole, asked));
    if (isKept) remote.expect(whole.entry); // asked again only where a segment turns out to be damaged
    const kept = isKept ? whole : await beginKeeping(url, remote, answer, options);
    const others = versions.filter(({ folder }) => folder !== kept?.folder);
    await deleteAll(others.filter((version) => !version.isWhole)); // they will never be
    const size = kept?.entry.size ?? answer.size!;
    const sha256 = await expectedHash(url, kept, options);
    const file = new SegmentedFile(remote, { size, ranged: answer.ranged, kept, sha256, signal });
    return { file, size, kept, others };
  } catch (error) {
    remote.close();
    throw error;
  }
}

/** What the server says of the file now; undefined where it says nothing. */
async function askInHurry(
  remote: RemoteFile,
  signal: AbortSignal | undefined,
): Promise<RemoteAnswer | undefined> {
  try {
    return await remote.open(hurried);
  } catch {
    signal?.throwIfAborted();
    return undefined;
  }
}

function isVersion({ entry }: KeptFile, { size, version }: RemoteFacts): boolean {
  return version !== undefined && version === entry.version && (size === undefined || size === entry.size);
}

/** A place for the file; undefined where it needs none. */
async function beginKeeping(
  url: URL,
  remote: RemoteFile,
  { size, version, ranged }: RemoteAnswer,
  { store, sha256 }: UrlSourceOptions,
): Promise<KeptFile | undefined> {
  if (!store && ranged && size !== undefined && sha256 === undefined) return undefined;
  if (!store && size !== undefined && size > maxBytesInMemory) {
    const why = ranged ? "to check before they are used" : "from a server that gives no parts of files";
    throw new NetworkError(
      `Cannot fetch ${remote.name}: expected at most ${grouped(maxBytesInMemory)} bytes ${why}, found ${grouped(size)}; give it a cache`,
    );
  }
  const bytes = size === undefined ? await remote.readWhole(maxBytesInMemory) : undefined;
  const entry = { url: url.href, size: size ?? bytes!.length, version };
  const kept = await KeptFile.create(store ?? memoryStore(), entry);
  for (let i = 0; bytes && i < kept.segmentCount; i++) {
    await kept.write(i, bytes.slice(i * segmentBytes, (i + 1) * segmentBytes));
  }
  return kept;
}

/** Of a file that nothing keeps there is none: it is not read in the order that hashing needs. */
async function expectedHash(
  url: URL,
  kept: KeptFile | undefined,
  { sha256, hub, headers = {}, signal }: UrlSourceOptions,
): Promise<string | undefined> {
  if (sha256 !== undefined || !kept) return sha256;
  return kept.entry.sha256 ?? (await hub?.hashOf(url, { headers, signal }));
}

async function deleteAll(versions: readonly KeptFile[]): Promise<void> {
  await Promise.all(versions.map((version) => version.delete()));
}
