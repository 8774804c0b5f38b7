import type { Store } from "./store.js";

/** For a file that has to be had whole before it can be read, where nothing else keeps it. */
export function memoryStore(): Store {
  const folders = new Map<string, Map<string, Uint8Array>>();
  return {
    name: "memory",
    folders: async () => [...folders.keys()],
    files: async (folder) => [...(folders.get(folder)?.keys() ?? [])],
    read: async (folder, file) => folders.get(folder)?.get(file),
    async write(folder, file, bytes) {
      const files = folders.get(folder) ?? new Map();
      folders.set(folder, files.set(file, bytes));
    },
    async deleteFolder(folder) {
      folders.delete(folder);
    },
    room: async () => undefined,
  };
}
