import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { joinSources } from "./join-sources.js";
import { fileSource } from "./source.js";

const folder = await mkdtemp(join(tmpdir(), "cria-source-"));
afterAll(() => rm(folder, { recursive: true }));
const content = Uint8Array.from({ length: 1000 }, (_, i) => (i * 7) % 256);
const path = join(folder, "file");
await writeFile(path, content);

describe("Source.read() into an array", () => {
  it("a file's bytes are put there, and nothing beside them", async () => {
    const source = await fileSource(path);
    const into = new Uint8Array(500).fill(9);
    const found = await source.read(100, 400, into);
    expect(found).toEqual(content.subarray(100, 400));
    expect(found.buffer).toBe(into.buffer);
    expect(into.subarray(300).every((byte) => byte === 9)).toBe(true);
    expect(await source.read(900, 1000)).toEqual(content.subarray(900));
    await expect(source.read(900, 1001, into)).rejects.toThrow(/the file now ends at 1000/);
    await source.close();
  });

  it("of files that are joined too, also where the bytes lie in two of them", async () => {
    const source = joinSources([await fileSource(path), await fileSource(path)], "both");
    const into = new Uint8Array(600);
    const inOne = await source.read(1200, 1300, into);
    expect(inOne).toEqual(content.subarray(200, 300));
    expect(inOne.buffer).toBe(into.buffer);
    const inTwo = await source.read(900, 1500, into);
    expect(inTwo).toEqual(Uint8Array.of(...content.subarray(900), ...content.subarray(0, 500)));
    await source.close();
  });
});
