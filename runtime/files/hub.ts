import { connect } from "./connection.js";

/** Hugging Face's hub. Others that answer as it does are named by the environment variable HF_ENDPOINT (Node), or with the file. */
const defaultHub = "https://huggingface.co";

/** A file's place on the hub. */
export interface HubFile {
  readonly url: URL;
  /** The SHA-256 that the hub has of a file in the same folder, or of this one; undefined of small files, and where it does not say. */
  hashOf(
    url: URL,
    options: { readonly headers: Readonly<Record<string, string>>; readonly signal: AbortSignal | undefined },
  ): Promise<string | undefined>;
}

/** Whether a name is one of the hub's: `hf:owner/repo/file`. */
export function isHubName(name: string): boolean {
  return name.startsWith("hf:");
}

/**
 * `hf:owner/repo/file@revision`: a file of a repository; without a revision of its main branch, and without a file the repository's
 * top folder.
 *
 * @throws TypeError for a name of another form
 *
 * Source: https://huggingface.co/docs/hub/models-downloading, and LFS's pointers: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
 */
export function hubFile(name: string, hub = environmentHub() ?? defaultHub): HubFile {
  const [, owner, repo, path = "", revision = "main"] =
    /^hf:([^/@]+)\/([^/@]+)(?:\/([^@]*))?(?:@(.+))?$/.exec(name) ?? [];
  const isPlain = [owner, repo, ...path.split("/")].every((part) => part !== "." && part !== "..");
  if (!owner || !repo || !isPlain) {
    throw new TypeError(
      `Cannot open ${name}: expected hf:owner/repo/file or hf:owner/repo/file@revision, found another form`,
    );
  }
  const repository = `${hub.replace(/\/+$/, "")}/${encodeURIComponent(owner)}/${encodeURIComponent(repo)}`;
  const rest = `/${encodeURIComponent(revision)}/${path.split("/").map(encodeURIComponent).join("/")}`;
  const resolved = `${repository}/resolve`;
  return {
    url: new URL(`${resolved}${rest}`),
    async hashOf(url, { headers, signal }) {
      // large files lie elsewhere, and in the repository itself a pointer to them, a text with their hash
      const pointer = `${repository}/raw${url.href.slice(resolved.length)}`;
      try {
        return readPointer(await firstBytes(pointer, headers, signal));
      } catch {
        signal?.throwIfAborted();
        return undefined; // then the file is checked by its size, like any other
      }
    },
  };
}

function environmentHub(): string | undefined {
  return globalThis.process?.env?.HF_ENDPOINT || undefined;
}

/** More than pointers have. */
const pointerBytes = 1024;

async function firstBytes(
  url: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal | undefined,
): Promise<string> {
  const connection = await connect(url, 0, { headers, signal, stallMs: 10_000 });
  const decoder = new TextDecoder();
  let text = "";
  try {
    while (text.length < pointerBytes) {
      const piece = await connection.read();
      if (!piece) break;
      text += decoder.decode(piece.subarray(0, pointerBytes), { stream: true });
    }
  } finally {
    connection.close();
  }
  return text;
}

function readPointer(text: string): string | undefined {
  if (!text.startsWith("version https://git-lfs")) return undefined;
  return /^oid sha256:([0-9a-f]{64})$/m.exec(text)?.[1];
}
