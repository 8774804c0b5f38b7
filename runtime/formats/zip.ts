import { FormatError, UnsupportedError } from "../errors.js";
import { ByteCursor, grouped, quoted } from "./byte-cursor.js";
import type { Source } from "./source.js";

/** A file in an archive, stored as it is. */
export interface ZipEntry {
  readonly name: string;
  /** Where its bytes start in the archive. */
  readonly offset: number;
  readonly bytes: number;
}

/** The end record, the longest comment after it, and the locator of zip64 before it. */
const endBytes = 22;
const maxTailBytes = endBytes + 65535 + 20;
/** Directories are read whole. PyTorch's of 70B models take 200 KB. */
const maxDirectoryBytes = 1 << 24;

const signatures = {
  local: 0x04034b50,
  central: 0x02014b50,
  end: 0x06054b50,
  end64: 0x06064b50,
  locator: 0x07064b50,
};
/** Stands in a 32-bit (16-bit) field whose value is in zip64's extra field. */
const inExtra = 0xffffffff;

/**
 * Lists the files of a zip archive whose files are stored without compression, as PyTorch writes them; zip64 included.
 *
 *     { local header, name, extra field, data } ...
 *     { central header, name, extra field, comment } ...     the directory
 *     zip64 end record and its locator                       where 32 bits do not do
 *     end record, comment
 *
 * @throws FormatError for an archive that is cut off or contradicts itself
 * @throws UnsupportedError for compressed and encrypted files
 *
 * Source: APPNOTE.TXT of PKWARE, https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
 */
export async function readZipDirectory(source: Source): Promise<Map<string, ZipEntry>> {
  const { offset, bytes, count } = await findDirectory(source);
  const fail = (problem: string) => new FormatError(`Cannot read ${source.name}: zip directory: ${problem}`);
  if (bytes > maxDirectoryBytes) {
    throw fail(`expected at most ${grouped(maxDirectoryBytes)} bytes, found ${grouped(bytes)}`);
  }
  if (offset + bytes > source.size) {
    throw fail(`expected to end at byte ${grouped(source.size)} at most, found ${grouped(offset + bytes)}`);
  }
  const cursor = new ByteCursor(await source.read(offset, offset + bytes), source.name, bytes);
  const entries = new Map<string, ZipEntry>();
  for (let i = 0; i < count; i++) {
    const entry = readCentralHeader(cursor, source);
    if (entries.has(entry.name)) throw fail(`expected each name once, found ${quoted(entry.name)} again`);
    entries.set(entry.name, entry);
  }
  return entries;
}

/**
 * Where an entry's data starts is known from its local header only: names and extra fields may differ in length from the
 * directory's.
 */
export async function locateZipEntry(source: Source, entry: ZipEntry): Promise<ZipEntry> {
  const headerBytes = 30;
  const fail = (expected: string, found: string) =>
    new FormatError(
      `Cannot read ${source.name}: ${quoted(entry.name)}: expected ${expected}, found ${found}`,
    );
  if (entry.offset + headerBytes > source.size)
    throw fail("a header within the file", `one at ${entry.offset}`);
  const header = await source.read(entry.offset, entry.offset + headerBytes);
  const view = new DataView(header.buffer, header.byteOffset, headerBytes);
  if (view.getUint32(0, true) !== signatures.local) throw fail("a local header of zip", "other bytes");
  const offset = entry.offset + headerBytes + view.getUint16(26, true) + view.getUint16(28, true);
  if (offset + entry.bytes > source.size) {
    throw fail(`to end at byte ${grouped(source.size)} at most`, grouped(offset + entry.bytes));
  }
  return { ...entry, offset };
}

interface DirectoryPlace {
  readonly offset: number;
  readonly bytes: number;
  readonly count: number;
}

async function findDirectory(source: Source): Promise<DirectoryPlace> {
  const start = Math.max(0, source.size - maxTailBytes);
  const tail = await source.read(start, source.size);
  const view = new DataView(tail.buffer, tail.byteOffset, tail.byteLength);
  for (let at = tail.length - endBytes; at >= 0; at--) {
    if (view.getUint32(at, true) !== signatures.end) continue;
    const count = view.getUint16(at + 10, true);
    const bytes = view.getUint32(at + 12, true);
    const offset = view.getUint32(at + 16, true);
    const isLarge = count === 0xffff || bytes === inExtra || offset === inExtra;
    if (!isLarge) return { offset, bytes, count };
    return readEnd64(source, at >= 20 ? view.getBigUint64(at - 20 + 8, true) : 0n);
  }
  throw new FormatError(
    `Cannot read ${source.name}: expected the directory at the end of a zip archive, found none`,
  );
}

async function readEnd64(source: Source, at: bigint): Promise<DirectoryPlace> {
  const recordBytes = 56;
  const fail = () => new FormatError(`Cannot read ${source.name}: expected zip64's end record, found none`);
  if (at > BigInt(source.size - recordBytes)) throw fail();
  const record = await source.read(Number(at), Number(at) + recordBytes);
  const cursor = new ByteCursor(record, source.name, source.size);
  if (cursor.u32("zip64 end record") !== signatures.end64) throw fail();
  cursor.position = 32;
  const count = cursor.size("number of files");
  const bytes = cursor.size("size of the directory");
  return { count, bytes, offset: cursor.size("place of the directory") };
}

/** An entry whose `offset` is still that of its local header. */
function readCentralHeader(cursor: ByteCursor, source: Source): ZipEntry {
  const field = "zip directory";
  const header = cursor.view(46, field);
  const u16 = (at: number) => header.getUint16(at, true);
  const u32 = (at: number) => header.getUint32(at, true);
  if (u32(0) !== signatures.central) throw cursor.bad(field, "a file's header", "other bytes");
  const name = new TextDecoder().decode(cursor.take(u16(28), field));
  const extra = cursor.take(u16(30), field);
  cursor.take(u16(32), field); // a comment
  if (u16(8) & 1 || u16(10) !== 0) {
    const how = u16(8) & 1 ? "encrypted" : "compressed";
    throw new UnsupportedError(
      `Cannot read ${source.name}: ${quoted(name)} is ${how}; only stored files are supported`,
    );
  }
  const large = zip64Fields(extra);
  const bytes = u32(24) === inExtra ? large() : u32(24);
  const stored = u32(20) === inExtra ? large() : u32(20);
  const offset = u32(42) === inExtra ? large() : u32(42);
  if (bytes === undefined || offset === undefined || stored !== bytes) {
    throw cursor.bad(quoted(name), "the sizes of a stored file", `${stored} and ${bytes} bytes at ${offset}`);
  }
  return { name, offset, bytes };
}

/** The values of zip64's extra field, one after the other; undefined where it ends, or a value is no size. */
function zip64Fields(extra: Uint8Array): () => number | undefined {
  const view = new DataView(extra.buffer, extra.byteOffset, extra.byteLength);
  let at = 0;
  while (at + 4 <= extra.length && view.getUint16(at, true) !== 1) at += 4 + view.getUint16(at + 2, true);
  let next = at + 4;
  return () => {
    if (next + 8 > extra.length) return undefined;
    const value = Number(view.getBigUint64(next, true));
    next += 8;
    return Number.isSafeInteger(value) ? value : undefined;
  };
}
