import { type FileHandle, open, realpath, rename, rm, stat } from "node:fs/promises";
import type { Sink } from "../runtime/index.js";

/**
 * Writes a file that is there when it is complete: under another name beside it until then, which is removed when something
 * fails, so that an old file stays as it is. What is no file, such as /dev/null, is written to as it comes.
 */
export async function writeFileAtOnce<T>(path: string, write: (sink: Sink) => Promise<T>): Promise<T> {
  const found = await stat(path).catch(() => undefined);
  if (found && !found.isFile()) return writeTo(await openToWrite(path, "w", path), write);
  const target = found ? await realpath(path) : path; // a link stays a link
  const partial = `${target}.${process.pid}.partial`;
  const file = await openToWrite(partial, "wx", path);
  try {
    const result = await writeTo(file, write, { sync: true });
    await rename(partial, target);
    return result;
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

/** Opens a file, which errors call by the name that was asked for. */
async function openToWrite(path: string, flags: string, asked: string): Promise<FileHandle> {
  try {
    return await open(path, flags);
  } catch (cause) {
    const reason = cause instanceof Error && "code" in cause ? cause.code : cause;
    throw new Error(`Cannot write ${asked}: expected a file that can be made there, found ${reason}`, {
      cause,
    });
  }
}

/** With `sync` the bytes are on the disk when it resolves: a rename must not overtake them. */
async function writeTo<T>(
  file: FileHandle,
  write: (sink: Sink) => Promise<T>,
  { sync = false } = {},
): Promise<T> {
  try {
    const result = await write({ write: (bytes) => file.writeFile(bytes) });
    if (sync) await file.sync();
    return result;
  } finally {
    await file.close();
  }
}
