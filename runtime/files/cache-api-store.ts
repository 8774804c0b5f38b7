import { browserRoom, type Store, storageError, storeName } from "./store.js";

/** The cache of answers that service workers use, where the browser's file system is missing or cannot be written. */
export async function openCacheApiStore(): Promise<Store | undefined> {
  try {
    return cacheApiStore(await caches.open(storeName));
  } catch {
    return undefined; // not there, or refused
  }
}

/** What is cached is cached under an address; nobody is asked for these. */
const base = "https://cria.invalid/";

function cacheApiStore(cache: Cache): Store {
  const name = "the browser's cache";
  const addressOf = (folder: string, file: string) => `${base}${folder}/${file}`;
  /** Folder and file of each. */
  const all = async () =>
    (await cache.keys()).map(({ url }) => url.slice(base.length).split("/") as [string, string]);
  return {
    name,
    folders: async () => [...new Set((await all()).map(([folder]) => folder))],
    files: async (folder) => (await all()).filter(([other]) => other === folder).map(([, file]) => file),
    async read(folder, file) {
      const response = await cache.match(addressOf(folder, file));
      return response && new Uint8Array(await response.arrayBuffer());
    },
    async write(folder, file, bytes) {
      try {
        await cache.put(addressOf(folder, file), new Response(bytes as BodyInit));
      } catch (cause) {
        throw storageError(name, cause);
      }
    },
    async deleteFolder(folder) {
      for (const [other, file] of await all()) {
        if (other === folder) await cache.delete(addressOf(folder, file));
      }
    },
    room: browserRoom,
  };
}
