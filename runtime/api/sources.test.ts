import { createHash } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { type FileServer, startFileServer } from "../../test/file-server.js";
import { openModelCache } from "../files/model-cache.js";
import type { RemoteModel } from "./remote-source.js";
import { openSource } from "./sources.js";

const model = new TextEncoder().encode("GGUF and so on");
const sha256 = createHash("sha256").update(model).digest("hex");
const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256}\nsize ${model.length}\n`;

let server: FileServer;
let folder: string;
beforeAll(async () => {
  server = await startFileServer();
});
afterAll(() => server.close());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "cria-sources-"));
  server.files.clear();
  server.requests.length = 0;
  for (const revision of ["main", "refs/pr/1"]) {
    server.files.set(`/me/llama/resolve/${revision}/a/b.gguf`, { bytes: model, etag: `"${revision}"` });
    server.files.set(`/me/llama/raw/${revision}/a/b.gguf`, { bytes: new TextEncoder().encode(pointer) });
  }
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

async function readAll(from: string | RemoteModel): Promise<Uint8Array> {
  const source = await openSource(from);
  try {
    const bytes = await source.read(0, source.size);
    await source.verify?.();
    return bytes;
  } finally {
    await source.close();
  }
}

const paths = () => server.requests.map(({ path }) => path);

describe("a name on the hub", () => {
  it("is a file of the main branch, or of the revision that it ends with", async () => {
    expect(await readAll({ url: "hf:me/llama/a/b.gguf", hub: server.url })).toEqual(model);
    expect(await readAll({ url: "hf:me/llama/a/b.gguf@refs/pr/1", hub: `${server.url}/` })).toEqual(model);
    expect(paths()).toEqual(["/me/llama/resolve/main/a/b.gguf", "/me/llama/resolve/refs/pr/1/a/b.gguf"]);
  });

  it("is looked for where the environment says that the hub is", async () => {
    vi.stubEnv("HF_ENDPOINT", server.url);
    expect(await readAll("hf:me/llama/a/b.gguf")).toEqual(model);
  });

  it("without a file is the repository's folder", async () => {
    server.files.set("/me/llama/resolve/main/config.json", { bytes: new Uint8Array(2) });
    expect(await readAll({ url: "hf:me/llama", hub: server.url })).toEqual(new Uint8Array(2));
  });

  it.each(["hf:", "hf:me", "hf:me/", "hf:/x/y", "hf:me/../y/z", "hf:../x/y", "hf:me/x/../../z"])(
    "%s is none",
    async (name) => {
      await expect(openSource(name)).rejects.toThrow(/expected hf:owner\/repo\/file/);
    },
  );
});

describe("the hub's hash", () => {
  const file = { url: "hf:me/llama/a/b.gguf" };

  it("is checked of a file that is kept, and asked for once", async () => {
    for (let i = 0; i < 2; i++) await readAll({ ...file, hub: server.url, cache: folder });
    expect(paths().filter((path) => path.includes("/raw/"))).toEqual(["/me/llama/raw/main/a/b.gguf"]);
    const [kept] = await (await openModelCache(folder)).list();
    expect(kept).toMatchObject({ sha256, isWhole: true, size: model.length });
  });

  it("that a file doesn't have is a FormatError, and the file is not kept", async () => {
    server.files.set("/me/llama/resolve/main/a/b.gguf", { bytes: model.with(5, 0) });
    const reading = readAll({ ...file, hub: server.url, cache: folder });
    await expect(reading).rejects.toThrow(new RegExp(`expected the SHA-256 ${sha256}, found`));
    expect(await (await openModelCache(folder)).list()).toEqual([]);
  });

  it.each([
    ["is not there", undefined],
    ["is the file itself, which is small", model],
  ])("that %s is done without", async (_, bytes) => {
    if (bytes) server.files.set("/me/llama/raw/main/a/b.gguf", { bytes });
    else server.files.delete("/me/llama/raw/main/a/b.gguf");
    expect(await readAll({ ...file, hub: server.url, cache: folder })).toEqual(model);
  });
});

describe("openModelCache()", () => {
  const url = () => `${server.url}/me/llama/resolve/main/a/b.gguf`;

  it("lists what is kept, says how much it is, and deletes it", async () => {
    const began = Date.now();
    await readAll({ url: url(), cache: folder, sha256: sha256.toUpperCase() });
    const cache = await openModelCache(folder);
    const [kept, ...others] = await cache.list();
    expect(kept).toMatchObject({ url: url(), size: model.length, cachedBytes: model.length, sha256 });
    expect(kept!.added.getTime()).toBeGreaterThanOrEqual(began);
    expect(others).toEqual([]);
    expect(await cache.size()).toBe(model.length);
    await cache.delete(`${server.url}/other`);
    expect(await cache.size()).toBe(model.length);
    await cache.delete(new URL(url()));
    expect([await cache.list(), await cache.size(), await readdir(folder)]).toEqual([[], 0, []]);
  });

  it("deletes nothing in its folder that it has not put there", async () => {
    const other = join(folder, "photos");
    await (await import("node:fs/promises")).mkdir(other);
    await readAll({ url: url(), cache: folder });
    await (await openModelCache(folder)).clear();
    expect(await readdir(folder)).toEqual(["photos"]);
  });

  it("of a folder that is not there is empty", async () => {
    expect(await (await openModelCache(join(folder, "none"))).list()).toEqual([]);
  });

  it("needs a folder in Node", async () => {
    await expect(openModelCache()).rejects.toThrow(/expected a folder to be named/);
  });
});

describe("a remote model", () => {
  it.each([
    [{ url: "ftp://x/y" }, /expected an address with https:, http: or hf:, found ftp:/],
    [{ url: "not an address" }, /Invalid URL/],
    [{ url: "http://x/", size: 5 }, /expected the options url, sha256, headers, cache, hub, found "size"/],
    [{ url: "http://x/", sha256: "abc" }, /expected sha256 to be 64 hexadecimal digits, found "abc"/],
    [{ url: "http://x/", cache: 5 }, /expected true or false or a folder, found 5/],
    [{ url: "http://x/", cache: true }, /expected a folder to be named/],
  ])("%j is refused", async (from, message) => {
    await expect(openSource(from as never)).rejects.toThrow(message);
  });
});
