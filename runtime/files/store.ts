import { StorageError } from "../errors.js";

/**
 * Where pieces of files are kept: small files in folders, one level deep. A file is written whole or not at all: one that was begun
 * and not finished is neither read nor listed. Names are made of letters, digits and hyphens.
 */
export interface Store {
  /** What errors call it. */
  readonly name: string;
  folders(): Promise<string[]>;
  /** The files of a folder; none of a folder that is not there. */
  files(folder: string): Promise<string[]>;
  /** Undefined where there is none. */
  read(folder: string, file: string): Promise<Uint8Array | undefined>;
  /** @throws StorageError where there is no room, or writing is not allowed */
  write(folder: string, file: string, bytes: Uint8Array): Promise<void>;
  /** Does nothing where there is none. */
  deleteFolder(folder: string): Promise<void>;
  /** Bytes that may still be written; undefined where nobody says. */
  room(): Promise<number | undefined>;
}

/** The name under which all is kept, whatever the store. */
export const storeName = "cria-models";

/** A StorageError in place of what a store says when it cannot write. */
export function storageError(store: string, cause: unknown): StorageError {
  const reason = cause instanceof Error ? cause.message || cause.name : String(cause);
  const isFull =
    cause instanceof Error &&
    (cause.name === "QuotaExceededError" ||
      ("code" in cause && (cause.code === "ENOSPC" || cause.code === "EDQUOT")));
  const found = isFull ? "no room" : reason;
  return new StorageError(
    `Cannot keep a model's file in ${store}: expected room for it, found ${found}; delete other models, or load without a cache`,
    { cause },
  );
}

/** What the browser still lets this site keep. */
export async function browserRoom(): Promise<number | undefined> {
  const { quota, usage } = (await navigator.storage?.estimate?.()) ?? {};
  return quota === undefined ? undefined : quota - (usage ?? 0);
}
