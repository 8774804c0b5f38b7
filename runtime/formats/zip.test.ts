import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { writeZip } from "../../test/write-zip.js";
import { FormatError, UnsupportedError } from "../errors.js";
import { bytesSource } from "./source.js";
import { locateZipEntry, readZipDirectory } from "./zip.js";

const files = [
  { name: "a/data.pkl", bytes: Uint8Array.of(1, 2, 3) },
  { name: "a/data/0", bytes: new Uint8Array(100).fill(7) },
  { name: "a/é", bytes: new Uint8Array() },
];

async function contents(archive: Uint8Array): Promise<Record<string, Uint8Array>> {
  const source = bytesSource(archive, "x.zip");
  const found: Record<string, Uint8Array> = {};
  for (const entry of (await readZipDirectory(source)).values()) {
    const { offset, bytes } = await locateZipEntry(source, entry);
    found[entry.name] = await source.read(offset, offset + bytes);
  }
  return found;
}

const expected = Object.fromEntries(files.map(({ name, bytes }) => [name, bytes]));

describe("readZipDirectory()", () => {
  it("finds the stored files, after a comment as well", async () => {
    expect(await contents(writeZip(files))).toEqual(expected);
    expect(await contents(writeZip(files, { comment: "x".repeat(65535) }))).toEqual(expected);
    expect(await contents(writeZip([]))).toEqual({});
  });

  it("finds them by zip64's fields", async () => {
    const large = files.map((file) => ({ ...file, zip64: true }));
    expect(await contents(writeZip(large))).toEqual(expected);
    expect(await contents(writeZip(large, { zip64: true }))).toEqual(expected);
    expect(await contents(writeZip(files, { zip64: true }))).toEqual(expected);
  });

  it.each([
    ["compressed", { method: 8 }],
    ["encrypted", { flags: 1 }],
  ])("a file that is %s is an UnsupportedError", async (how, changes) => {
    const reading = contents(writeZip([{ ...files[0]!, ...changes }]));
    await expect(reading).rejects.toThrow(UnsupportedError);
    await expect(reading).rejects.toThrow(`"a/data.pkl" is ${how}`);
  });

  it("a name twice is a FormatError", async () => {
    await expect(contents(writeZip([files[0]!, files[0]!]))).rejects.toThrow(/expected each name once/);
  });

  it("is a FormatError when it is cut, at whatever byte", async () => {
    const archive = writeZip(files, { zip64: true });
    for (let end = 0; end < archive.length; end++) {
      await expect(contents(archive.slice(0, end)), `cut at ${end}`).rejects.toThrow(FormatError);
    }
  });

  it("reads, or gives one of our errors, whatever bytes are changed", async () => {
    const archives = [
      writeZip(files),
      writeZip(
        files.map((file) => ({ ...file, zip64: true })),
        { zip64: true },
      ),
    ];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...archives),
        fc.array(fc.tuple(fc.nat(900), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        async (archive, changes) => {
          const bytes = archive.slice();
          for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
          await contents(bytes).catch((error) => {
            if (!(error instanceof UnsupportedError)) expect(error).toBeInstanceOf(FormatError);
          });
        },
      ),
      { numRuns: 1000 },
    );
  });
});
