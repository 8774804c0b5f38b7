/** A file of an archive; with `zip64` its sizes and place are in the extra field, as those of large files are. */
export interface ZipFile {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly zip64?: boolean;
  /** Compression method and flags to claim. Default 0: stored. */
  readonly method?: number;
  readonly flags?: number;
}

/** The bytes of a zip archive of stored files. With `zip64` the directory is announced by zip64's end record. */
export function writeZip(files: readonly ZipFile[], { zip64 = false, comment = "" } = {}): Uint8Array {
  const chunks: Buffer[] = [];
  let length = 0;
  const add = (chunk: Buffer) => {
    chunks.push(chunk);
    length += chunk.length;
  };
  const places = files.map((file) => {
    const place = length;
    add(header(file, { signature: 0x04034b50, place: undefined }));
    add(Buffer.from(file.bytes));
    return place;
  });
  const start = length;
  for (const [i, file] of files.entries()) add(header(file, { signature: 0x02014b50, place: places[i]! }));
  const size = length - start;

  if (zip64) {
    const record = Buffer.alloc(56);
    record.writeUInt32LE(0x06064b50, 0);
    record.writeBigUInt64LE(44n, 4);
    record.writeBigUInt64LE(BigInt(files.length), 24);
    record.writeBigUInt64LE(BigInt(files.length), 32);
    record.writeBigUInt64LE(BigInt(size), 40);
    record.writeBigUInt64LE(BigInt(start), 48);
    const locator = Buffer.alloc(20);
    locator.writeUInt32LE(0x07064b50, 0);
    locator.writeBigUInt64LE(BigInt(length), 8);
    locator.writeUInt32LE(1, 16);
    add(record);
    add(locator);
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(zip64 ? 0xffff : files.length, 8);
  end.writeUInt16LE(zip64 ? 0xffff : files.length, 10);
  end.writeUInt32LE(zip64 ? 0xffffffff : size, 12);
  end.writeUInt32LE(zip64 ? 0xffffffff : start, 16);
  end.writeUInt16LE(comment.length, 20);
  add(end);
  add(Buffer.from(comment));
  return Uint8Array.from(Buffer.concat(chunks));
}

/** A file's local header, or with a place its header in the directory. */
function header(
  { name, bytes, zip64 = false, method = 0, flags = 0 }: ZipFile,
  { signature, place }: { readonly signature: number; readonly place: number | undefined },
): Buffer {
  const isCentral = place !== undefined;
  const at = isCentral ? 2 : 0; // the directory's has one field more in front
  const extra = Buffer.alloc(zip64 ? 4 + 16 + (isCentral ? 8 : 0) : 0);
  if (zip64) {
    extra.writeUInt16LE(1, 0);
    extra.writeUInt16LE(extra.length - 4, 2);
    extra.writeBigUInt64LE(BigInt(bytes.length), 4);
    extra.writeBigUInt64LE(BigInt(bytes.length), 12);
    if (isCentral) extra.writeBigUInt64LE(BigInt(place), 20);
  }
  const fixed = Buffer.alloc(isCentral ? 46 : 30);
  fixed.writeUInt32LE(signature, 0);
  fixed.writeUInt16LE(flags, 6 + at);
  fixed.writeUInt16LE(method, 8 + at);
  fixed.writeUInt32LE(zip64 ? 0xffffffff : bytes.length, 18 + at);
  fixed.writeUInt32LE(zip64 ? 0xffffffff : bytes.length, 22 + at);
  fixed.writeUInt16LE(Buffer.byteLength(name), 26 + at);
  fixed.writeUInt16LE(extra.length, 28 + at);
  if (isCentral) fixed.writeUInt32LE(zip64 ? 0xffffffff : place, 42);
  return Buffer.concat([fixed, Buffer.from(name), extra]);
}
