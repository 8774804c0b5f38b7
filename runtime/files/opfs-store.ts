import { browserRoom, type Store, storageError, storeName } from "./store.js";

/** The browser's file system for this site, where there is one whose files can be written outside of workers too. */
export async function openOpfsStore(): Promise<Store | undefined> {
  const canWrite =
    typeof FileSystemFileHandle === "function" && "createWritable" in FileSystemFileHandle.prototype;
  if (!canWrite || !navigator.storage?.getDirectory) return undefined;
  try {
    const root = await navigator.storage.getDirectory();
    return opfsStore(await root.getDirectoryHandle(storeName, { create: true }));
  } catch {
    return undefined; // refused, as in private windows
  }
}

function opfsStore(root: FileSystemDirectoryHandle): Store {
  const name = "the browser's file system";
  const directory = (folder: string) => ifThere(root.getDirectoryHandle(folder));
  const fileIn = async (folder: string, file: string) =>
    (await ifThere((await directory(folder))?.getFileHandle(file)))?.getFile();
  return {
    name,
    folders: () => namesIn(root),
    async files(folder) {
      const found = await directory(folder);
      if (!found) return [];
      const names = await namesIn(found);
      // a file is empty from its first moment until all its bytes take their place at once
      const sizes = await Promise.all(names.map(async (file) => (await fileIn(folder, file))?.size ?? 0));
      return names.filter((_, i) => sizes[i]! > 0);
    },
    async read(folder, file) {
      const found = await fileIn(folder, file);
      if (!found || found.size === 0) return undefined;
      return new Uint8Array(await found.arrayBuffer());
    },
    async write(folder, file, bytes) {
      try {
        const directory = await root.getDirectoryHandle(folder, { create: true });
        const writable = await (await directory.getFileHandle(file, { create: true })).createWritable();
        try {
          await writable.write(bytes as BufferSource);
          await writable.close();
        } catch (error) {
          await writable.abort().catch(() => {}); // it has failed already, then
          throw error;
        }
      } catch (cause) {
        throw storageError(name, cause);
      }
    },
    async deleteFolder(folder) {
      await ifThere(root.removeEntry(folder, { recursive: true }));
    },
    room: browserRoom,
  };
}

async function namesIn(directory: FileSystemDirectoryHandle): Promise<string[]> {
  const names: string[] = [];
  for await (const name of directory.keys()) names.push(name);
  return names;
}

async function ifThere<T>(promise: Promise<T> | undefined): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof Error && error.name === "NotFoundError") return undefined;
    throw error;
  }
}
