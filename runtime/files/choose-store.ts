import { StorageError } from "../errors.js";
import { openCacheApiStore } from "./cache-api-store.js";
import { folderStore } from "./folder-store.js";
import { isNode } from "./is-node.js";
import { openOpfsStore } from "./opfs-store.js";
import type { Store } from "./store.js";

/**
 * Where model files are kept: in a browser, unless it is refused there, in its file system for this site, else in its cache; in
 * Node in the folder that is named, else nowhere. `false` is nowhere.
 *
 * @throws TypeError for a folder in a browser, and for anything else
 * @throws StorageError where `true` asks for a place and there is none
 */
export async function chooseStore(cache: boolean | string | undefined): Promise<Store | undefined> {
  if (cache === false) return undefined;
  if (typeof cache === "string" && isNode()) return folderStore(cache);
  if (cache !== undefined && cache !== true) {
    throw new TypeError(
      `Cannot open a cache: expected true or false${isNode() ? " or a folder" : " in a browser"}, found ${JSON.stringify(cache)}`,
    );
  }
  const store = isNode() ? undefined : ((await openOpfsStore()) ?? (await openCacheApiStore()));
  if (store || cache === undefined) return store;
  throw new StorageError(
    `Cannot open a cache: expected ${isNode() ? "a folder to be named" : "a browser that keeps files for this page"}, found none`,
  );
}
