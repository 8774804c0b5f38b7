import { existsSync } from "node:fs";
import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FormatError } from "../errors.js";
import { bytesSource, fileSource, listSource, ownSource, type Source } from "./source.js";

let folder: string;
let path: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cria-source-"));
  path = join(folder, "x");
  await writeFile(path, "0123456789");
});
afterAll(() => rm(folder, { recursive: true }));

describe("fileSource()", () => {
  it("says that the file has become shorter", async () => {
    const source = await fileSource(path);
    await truncate(path, 4);
    await expect(source.read(0, 10)).rejects.toThrow(/expected bytes 0 to 10, the file now ends at 4/);
    await source.close();
  });

  // a process's own memory has no page at 0: a real read error
  it.skipIf(!existsSync("/proc/self/mem"))("says which file the disk can't read", async () => {
    const source = await fileSource("/proc/self/mem");
    await expect(source.read(0, 8)).rejects.toMatchObject({
      code: "EIO",
      message: expect.stringMatching(/^Cannot read \/proc\/self\/mem: expected bytes 0 to 8, found EIO: /),
    });
    await source.close();
  });

  it.each(["none", "x/y"])("passes on what the system says of %s", async (name) => {
    await expect(fileSource(join(folder, name))).rejects.toMatchObject({ code: /^ENO(ENT|TDIR)$/ });
  });
});

describe("ownSource()", () => {
  const hanging = { name: "mine", size: 10, read: () => new Promise<Uint8Array>(() => {}) };

  it("ends a read that never answers with the signal, and leaves no listener", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    const reading = ownSource(hanging, controller.signal).read(0, 1);
    controller.abort(reason);
    await expect(reading).rejects.toBe(reason);
    await expect(ownSource(hanging, controller.signal).read(0, 1)).rejects.toBe(reason);
  });
});

describe("listSource()", () => {
  it("checks the hashes of all", async () => {
    const checked: string[] = [];
    const withHash = (name: string): Source => ({
      ...bytesSource(new Uint8Array(1), name),
      async verify() {
        checked.push(name);
        if (name === "b") throw new FormatError("not b");
      },
    });
    const plain = bytesSource(new Uint8Array(1), "plain");
    await listSource([withHash("a"), plain]).verify!();
    await expect(listSource([withHash("a"), plain, withHash("b")]).verify!()).rejects.toThrow("not b");
    expect(checked).toEqual(["a", "a", "b"]);
  });
});
