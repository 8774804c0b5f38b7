import { chooseStore } from "./choose-store.js";
import { KeptFile } from "./kept-file.js";

/** A model file that is kept, or a part of one. */
export interface CachedFile {
  /** Where it came from. */
  readonly url: string;
  /** Of the whole file, in bytes. */
  readonly size: number;
  /** Bytes of it that are kept. Those of a download that was broken off are used by the next one. */
  readonly cachedBytes: number;
  /** Whether all of it is kept. */
  readonly isWhole: boolean;
  /** The SHA-256 that it was found to have; undefined where none was known to check. */
  readonly sha256: string | undefined;
  /** When its download began. */
  readonly added: Date;
}

/** The model files that `load` has kept on this device. */
export interface ModelCache {
  /** The newest first. */
  list(): Promise<CachedFile[]>;
  /** Bytes of all of them. */
  size(): Promise<number>;
  /** Deletes a file, by the URL that it is listed with; does nothing where it isn't kept. A model that is being loaded from it fetches it anew. */
  delete(url: string | URL): Promise<void>;
  /** Deletes all of them. */
  clear(): Promise<void>;
}

/**
 * The model files that are kept: in a browser for this site, in Node in the folder that was named as `cache`.
 *
 * @throws StorageError in a browser that keeps nothing for this page, and in Node without a folder
 */
export async function openModelCache(folder?: string): Promise<ModelCache> {
  const store = (await chooseStore(folder ?? true))!;
  const list = async () => {
    const files = (await KeptFile.list(store)).filter(({ entry }) => entry.size !== undefined);
    return files.map(({ entry: { url, size, sha256, added }, keptBytes, isWhole }): CachedFile => {
      return { url, size: size!, cachedBytes: keptBytes, isWhole, sha256, added: new Date(added) };
    });
  };
  return {
    list,
    size: async () => (await list()).reduce((sum, { cachedBytes }) => sum + cachedBytes, 0),
    delete: (url) => KeptFile.deleteAll(store, new URL(url).href),
    clear: () => KeptFile.deleteAll(store),
  };
}
