import { type Store, storageError } from "./store.js";

/** A folder on disk, in Node. It is made when the first file is written. */
export function folderStore(path: string): Store {
  const fs = process.getBuiltinModule("node:fs/promises");
  const { join } = process.getBuiltinModule("node:path");
  const unfinished = ".part";
  return {
    name: path,
    folders: async () => (await ifThere(fs.readdir(path))) ?? [],
    files: async (folder) =>
      ((await ifThere(fs.readdir(join(path, folder)))) ?? []).filter((file) => !file.endsWith(unfinished)),
    async read(folder, file) {
      const bytes = await ifThere(fs.readFile(join(path, folder, file)));
      return bytes && new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    },
    async write(folder, file, bytes) {
      const target = join(path, folder, file);
      const part = `${target}-${crypto.randomUUID()}${unfinished}`;
      try {
        await fs.mkdir(join(path, folder), { recursive: true });
        await fs.writeFile(part, bytes);
        await fs.rename(part, target);
      } catch (cause) {
        await fs.rm(part, { force: true }).catch(() => {}); // what went wrong first is the news
        throw storageError(path, cause);
      }
    },
    async deleteFolder(folder) {
      await fs.rm(join(path, folder), { recursive: true, force: true });
    },
    async room() {
      const found = await ifThere(fs.statfs(path));
      return found && found.bavail * found.bsize;
    },
  };
}

async function ifThere<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    const code = error instanceof Error && "code" in error && error.code;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}
