import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type FileServer, startFileServer } from "../../test/file-server.js";
import { FormatError, NetworkError, StorageError } from "../errors.js";
import { createRandom } from "../sampling/random.js";
import { folderStore } from "./folder-store.js";
import { KeptFile, segmentBytes } from "./kept-file.js";
import { defaultPatience } from "./remote-file.js";
import type { Store } from "./store.js";
import { type UrlSourceOptions, urlSource } from "./url-source.js";

/** Three segments, the last one short. */
const file = randomBytes(2 * segmentBytes + 12_345);
const sha256 = createHash("sha256").update(file).digest("hex");
const quick = { ...defaultPatience, firstWaitMs: 1, stallMs: 300 };

let server: FileServer;
let folder: string;
let store: Store;
beforeAll(async () => {
  server = await startFileServer();
});
afterAll(() => server.close());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "cria-kept-"));
  store = folderStore(folder);
  server.files.clear();
  server.files.set("/model.gguf", { bytes: file, etag: '"1"' });
  server.faults.length = 0;
  server.requests.length = 0;
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function randomBytes(length: number): Uint8Array {
  const random = createRandom(1);
  return Uint8Array.from({ length }, () => random() * 256);
}

const open = (path = "/model.gguf", options: UrlSourceOptions = {}) =>
  urlSource(new URL(server.url + path), { patience: quick, ...options });

/** All of a source, front to end, in pieces that don't go with segments. */
async function readAll(path?: string, options?: UrlSourceOptions): Promise<Uint8Array> {
  const source = await open(path, options);
  try {
    const bytes = new Uint8Array(source.size);
    const step = 1_000_003;
    for (let at = 0; at < source.size; at += step) {
      bytes.set(await source.read(at, Math.min(at + step, source.size)), at);
    }
    await source.verify?.();
    return bytes;
  } finally {
    await source.close();
  }
}

const ranges = () => server.requests.map(({ range }) => range);

/** Buffers of megabytes are compared at once: expect() goes through them element by element. */
function expectSame(found: Uint8Array, expected: Uint8Array): void {
  expect(Buffer.compare(found, expected)).toBe(0);
}

describe("a file on a server", () => {
  it("is read front to end over one request", async () => {
    expectSame(await readAll(), file);
    expect(ranges()).toEqual(["bytes=0-"]);
  });

  it("is read in any order and any pieces", async () => {
    const source = await open();
    const range = fc.tuple(fc.nat(file.length), fc.nat(200_000));
    await fc.assert(
      fc.asyncProperty(fc.array(range, { maxLength: 4 }), async (pieces) => {
        for (const [start, length] of pieces) {
          const end = Math.min(start + length, file.length);
          expectSame(await source.read(start, end), file.subarray(start, end));
        }
      }),
      { numRuns: 20 },
    );
    await source.close();
  });

  it("is read by several at once", async () => {
    const source = await open();
    const starts = [0, 8_000_000, 4_000_000, 100];
    const pieces = await Promise.all(starts.map((start) => source.read(start, start + 300_000)));
    for (const [i, start] of starts.entries()) expectSame(pieces[i]!, file.subarray(start, start + 300_000));
    await source.close();
  });

  it.each([
    [-1, 1],
    [2, 1],
    [0, file.length + 1],
    [Number.NaN, 1],
  ])("has no bytes %d to %d", async (start, end) => {
    const source = await open();
    await expect(source.read(start, end)).rejects.toThrow(FormatError);
    await source.close();
  });

  it("is called by its address without the query, and its siblings are asked for with it", async () => {
    server.files.set("/a b/model.gguf", { bytes: file });
    server.files.set("/a b/other one.bin", { bytes: new Uint8Array(3) });
    const source = await open("/a%20b/model.gguf?token=secret");
    expect(source.name).toBe(`${server.url}/a b/model.gguf`);
    const sibling = await source.sibling!("other one.bin");
    expect(sibling!.size).toBe(3);
    expect(await source.sibling!("none")).toBeUndefined();
    await expect(source.sibling!("../x")).rejects.toThrow(/the name of a file in the same folder/);
    await source.close();
  });

  it("that is a folder is the file in it that says what is in the others", async () => {
    server.files.set("/folder/params.json", { bytes: new TextEncoder().encode("{}") });
    const source = await open("/folder/");
    expect([source.name, source.size]).toEqual([`${server.url}/folder/params.json`, 2]);
    await source.close();
    await expect(open("/none/")).rejects.toThrow(/expected a folder with a config.json or params.json/);
  });

  it("that is empty has no bytes", async () => {
    server.files.set("/empty", { bytes: new Uint8Array() });
    const source = await open("/empty");
    expect([source.size, await source.read(0, 0)]).toEqual([0, new Uint8Array()]);
    await source.close();
  });

  it("is found where the server sends elsewhere", async () => {
    server.files.set("/moved", { bytes: file, redirect: "/model.gguf" });
    expectSame(await readAll("/moved"), file);
  });

  it("is asked for with the headers that are given", async () => {
    await readAll(undefined, { headers: { Authorization: "Bearer 1" } });
    expect(server.requests[0]!.headers.authorization).toBe("Bearer 1");
  });
});

describe("a connection that drops", () => {
  it("is made again at the byte where it dropped", async () => {
    server.faults.push({ dropAfter: 5_000_000 }, { dropAfter: 1000 });
    expectSame(await readAll(), file);
    const [first, second, third] = ranges().map((range) => Number(/\d+/.exec(range!)));
    expect(first).toBe(0);
    // what was on its way when the connection broke may be lost with it
    expect(second).toBeGreaterThan(0);
    expect(second).toBeLessThanOrEqual(5_000_000);
    expect(third).toBeGreaterThanOrEqual(second!);
    expect(third).toBeLessThanOrEqual(second! + 1000);
    expect(ranges().length).toBe(3);
  });

  it("at any byte, as often as something comes, gives the same bytes", async () => {
    const faults = fc.array(fc.oneof(fc.nat(3_000_000), fc.integer({ min: 0, max: 3 })), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(faults, async (drops) => {
        server.faults.length = 0;
        // never more than three fruitless ones in a row
        server.faults.push(
          ...drops.flatMap((dropAfter) => [{ dropAfter: -1 }, { dropAfter: dropAfter + 1 }]),
        );
        expectSame(await readAll(), file);
      }),
      { numRuns: 10 },
    );
  });

  it.each([
    ["before any answer", { dropAfter: -1 }],
    ["after the head of each", { dropAfter: 0 }],
    ["for lack of a server that says something", { stallAfter: -1 }],
    ["in the middle, without an end", { stallAfter: 0 }],
    ["with a status that passes", { status: 503 }],
  ])("%s, again and again, is a NetworkError", async (_, fault) => {
    server.faults.push(...Array(5).fill(fault));
    await expect(readAll()).rejects.toThrow(
      /^Cannot fetch .*model.gguf: expected its bytes from 0 on, found .* after 5 tries$/,
    );
    await expect.poll(() => server.openAnswers()).toBe(0);
    expect(server.requests.length).toBe(5);
  });

  it("with a server that wants to be left alone is made again when that is over", async () => {
    server.faults.push({ status: 429, headers: { "Retry-After": "1" } });
    const began = performance.now();
    expectSame(await readAll(), file);
    expect(performance.now() - began).toBeGreaterThan(990);
  });

  it("until a date, too", async () => {
    const headers = { "Retry-After": new Date(Date.now() + 2000).toUTCString() };
    server.faults.push({ status: 503, headers });
    const began = performance.now();
    await readAll();
    expect(performance.now() - began).toBeGreaterThan(900); // dates have no milliseconds
  });

  it("with one that wants that for an hour is a NetworkError at once", async () => {
    server.faults.push({ status: 429, headers: { "Retry-After": "3600" } });
    await expect(open()).rejects.toThrow(/found status 429 .* after 1 try, to be asked again in 3600 s/);
  });

  it("and leads to another file then is a NetworkError", async () => {
    server.faults.push({ dropAfter: 100_000 });
    const source = await open();
    server.files.set("/model.gguf", { bytes: file, etag: '"2"' });
    await expect(source.read(0, file.length)).rejects.toThrow(
      /expected the file that was opened, .* version "1"; found another one, .* version "2"/,
    );
    server.files.set("/model.gguf", { bytes: file.subarray(1), etag: '"1"' });
    await expect(source.read(0, file.length)).rejects.toThrow(/found another one, 8,400,952 bytes/);
    await source.close();
  });

  it("and a server that has no such bytes any more is a NetworkError", async () => {
    server.faults.push({ dropAfter: 100_000 });
    const source = await open();
    server.files.set("/model.gguf", { bytes: file.subarray(0, 10), etag: '"1"' });
    await expect(source.read(0, file.length)).rejects.toThrow(/found one that has no byte \d+: it has 10/);
    await source.close();
  });

  it.each(["bytes 1-9/10", "bytes 5-8400953/8400954"])(
    "and an answer with %s is refused",
    async (contentRange) => {
      server.faults.push({ contentRange });
      await expect(open()).rejects.toThrow(NetworkError);
    },
  );
});

describe("a server without the file", () => {
  it.each([400, 401, 403, 404, 410, 451, 501])("says so by status %d, once", async (status) => {
    server.faults.push({ status });
    await expect(open()).rejects.toMatchObject({
      name: "NetworkError",
      status,
      message: expect.stringMatching(new RegExp(`expected a file, found status ${status}`)),
    });
    expect(server.requests.length).toBe(1);
  });

  it("may send a web page instead, which is none", async () => {
    server.files.set("/model.gguf", { bytes: new TextEncoder().encode("<html>"), type: "text/html" });
    await expect(open()).rejects.toThrow(/expected a model's file, found an HTML page/);
  });

  it("is one that isn't there, too", async () => {
    const gone = await startFileServer();
    await gone.close();
    await expect(urlSource(new URL(`${gone.url}/x`), { patience: quick })).rejects.toThrow(
      /found fetch failed: .*ECONNREFUSED.* after 5 tries/,
    );
  });
});

describe("an abort", () => {
  it.each([
    ["while the server says nothing", { stallAfter: -1 }],
    ["while nothing more comes", { stallAfter: 1000 }],
    ["while a pause is made", { status: 503, headers: { "Retry-After": "50" } }],
  ])("%s ends the reading with its reason", async (_, fault) => {
    server.faults.push(fault);
    const controller = new AbortController();
    const reason = new Error("enough");
    const reading = readAll(undefined, { signal: controller.signal, patience: defaultPatience });
    setTimeout(() => controller.abort(reason), 100);
    await expect(reading).rejects.toBe(reason);
    await expect.poll(() => server.openAnswers()).toBe(0);
  });

  it("beforehand asks for nothing", async () => {
    await expect(open(undefined, { signal: AbortSignal.abort() })).rejects.toThrow(/abort/);
    expect(server.requests).toEqual([]);
  });

  it("and a close leave no answer under way", async () => {
    server.faults.push({ stallAfter: 100 });
    const source = await open();
    expect(server.openAnswers()).toBe(1);
    await source.close();
    await expect.poll(() => server.openAnswers()).toBe(0);
  });
});

describe("a server that knows no ranges", () => {
  beforeEach(() => {
    server.files.set("/model.gguf", { bytes: file, etag: '"1"', ranges: false });
  });

  it("is read once, whatever the order", async () => {
    const source = await open();
    for (const start of [8_000_000, 0, 5_000_000, 8_300_000, 100]) {
      expectSame(await source.read(start, start + 100_000), file.subarray(start, start + 100_000));
    }
    expect(server.requests.length).toBe(1);
    await source.close();
  });

  it("is read again from its beginning when the connection drops", async () => {
    server.faults.push({ dropAfter: 6_000_000 }, { dropAfter: 7_000_000 });
    expectSame(await readAll(), file);
    expect(server.requests.length).toBe(3);
  });

  it("and does not say how long the file is, as well", async () => {
    server.files.set("/model.gguf", { bytes: file, sized: false, ranges: false });
    expectSame(await readAll(), file);
    expectSame(await readAll(undefined, { store }), file);
    expect(server.requests.length).toBe(2);
  });

  it("fills the place where files are kept in the order in which they come", async () => {
    const source = await open(undefined, { store });
    await source.read(file.length - 10, file.length);
    await source.close();
    server.faults.push({ status: 404 });
    expectSame(await readAll(undefined, { store }), file);
  });
});

describe("a file that is kept", () => {
  it("is fetched once, and read without the server from then on", async () => {
    expectSame(await readAll(undefined, { store }), file);
    server.requests.length = 0;
    server.faults.push({ dropAfter: -1 });
    expectSame(await readAll(undefined, { store }), file);
    expect(ranges()).toEqual(["bytes=0-"]); // asking whether there is a newer one
    server.faults.push({ stallAfter: 0 });
    expectSame(await readAll(undefined, { store }), file);
  });

  it("goes on where an earlier download was broken off", async () => {
    server.faults.push({ endAfter: 6_000_000 }, ...Array(5).fill({ status: 500 }));
    await expect(readAll(undefined, { store })).rejects.toThrow(NetworkError);
    const [part] = await KeptFile.list(store);
    expect([part!.isWhole, part!.keptBytes]).toEqual([false, segmentBytes]);
    server.faults.length = 0;
    server.requests.length = 0;
    expectSame(await readAll(undefined, { store }), file);
    expect(ranges()).toEqual(["bytes=0-", `bytes=${segmentBytes}-`]);
    expect((await KeptFile.list(store))[0]!.isWhole).toBe(true);
  });

  it("in part is of no use without the server", async () => {
    const source = await open(undefined, { store });
    await source.read(0, 10);
    await source.close();
    server.faults.push(...Array(5).fill({ dropAfter: -1 }));
    await expect(readAll(undefined, { store })).rejects.toThrow(NetworkError);
  });

  it("and of which the server has a newer version is fetched anew; the old one goes when the new one is whole", async () => {
    await readAll(undefined, { store });
    const newer = randomBytes(segmentBytes + 1).fill(7);
    server.files.set("/model.gguf", { bytes: newer, etag: '"2"' });
    const source = await open(undefined, { store });
    await source.read(0, 10);
    await source.close();
    expect((await KeptFile.list(store)).map(({ isWhole }) => isWhole).sort()).toEqual([false, true]);
    server.faults.push({ dropAfter: -1 });
    expectSame(await readAll(undefined, { store }), file); // still the best there is
    expectSame(await readAll(undefined, { store }), newer);
    expect((await KeptFile.list(store)).map(({ entry }) => entry.version)).toEqual(['"2"']);
  });

  it.each([
    ["cut", (bytes: Uint8Array) => bytes.subarray(0, -1)],
    ["emptied", () => new Uint8Array()],
    ["changed in one bit", (bytes: Uint8Array) => bytes.with(1_000_000, bytes[1_000_000]! ^ 1)],
    ["longer", (bytes: Uint8Array) => Buffer.concat([bytes, bytes.subarray(0, 1)])],
  ])("is healed where a segment is %s", async (_, damage) => {
    await readAll(undefined, { store });
    const [{ folder: name }] = (await KeptFile.list(store)) as [KeptFile];
    const path = join(folder, name, "1");
    const sound = await readFile(path);
    await writeFile(path, damage(sound));
    server.requests.length = 0;
    expectSame(await readAll(undefined, { store }), file);
    expect(ranges()).toContain(`bytes=${segmentBytes}-`);
    expectSame(await readFile(path), sound);
  });

  it("is healed where a segment or its description is lost", async () => {
    await readAll(undefined, { store });
    const [{ folder: name }] = (await KeptFile.list(store)) as [KeptFile];
    await rm(join(folder, name, "2"));
    expectSame(await readAll(undefined, { store }), file);
    await writeFile(join(folder, name, "entry"), "{");
    expectSame(await readAll(undefined, { store }), file);
  });

  it("and of which the server tells no version is fetched anew, unless there is no server", async () => {
    server.files.set("/model.gguf", { bytes: file });
    await readAll(undefined, { store });
    const other = file.with(5, file[5]! ^ 1);
    server.files.set("/model.gguf", { bytes: other });
    expectSame(await readAll(undefined, { store }), other);
    server.faults.push(...Array(5).fill({ dropAfter: -1 }));
    expectSame(await readAll(undefined, { store }), other);
    server.faults.length = 0;
    expect((await KeptFile.list(store)).length).toBe(1);
  });

  it("but for which there is no room is a StorageError soon, with the numbers; headers are read all the same", async () => {
    const full = { ...store, room: async () => 1_000_000 };
    const source = await open(undefined, { store: full });
    expectSame(await source.read(0, 1000), file.subarray(0, 1000));
    await expect(source.read(0, file.length)).rejects.toThrow(
      /^Cannot keep .*model.gguf in .*: expected room for 4,206,649 bytes, found 1,000,000; delete other models/,
    );
    await source.close();
    expect((await KeptFile.list(store))[0]!.isWhole).toBe(false);
  });

  it("is a StorageError where nothing may be written", async () => {
    const place = folderStore(join(folder, "file"));
    await writeFile(join(folder, "file"), "not a folder");
    await expect(readAll(undefined, { store: place })).rejects.toThrow(StorageError);
  });

  it("leaves nothing half written", async () => {
    await readAll(undefined, { store });
    const [name] = await readdir(folder);
    expect((await readdir(join(folder, name!))).sort()).toEqual(["0", "1", "2", "entry"]);
  });

  it("is fetched by two at the same time", async () => {
    const both = await Promise.all([readAll(undefined, { store }), readAll(undefined, { store })]);
    for (const bytes of both) expectSame(bytes, file);
    server.faults.push({ dropAfter: -1 });
    expectSame(await readAll(undefined, { store }), file);
  });

  it("knows without the server which siblings there are not", async () => {
    server.files.set("/config.json", { bytes: new Uint8Array(5) });
    const readSiblings = async () => {
      const source = await open(undefined, { store });
      await source.read(0, source.size);
      const sibling = await source.sibling!("config.json");
      const found = [await sibling!.read(0, 5), await source.sibling!("generation_config.json")];
      await source.close();
      return found;
    };
    const found = await readSiblings();
    expect(found[1]).toBeUndefined();
    const down = Array(5).fill({ status: 500 });
    server.faults.push(...down, ...down, ...down);
    expect(await readSiblings()).toEqual(found);
    server.faults.length = 0;
    server.faults.push(undefined, ...down);
    const source = await open(undefined, { store });
    await expect(source.sibling!("never-asked-for.json")).rejects.toThrow(NetworkError);
    await source.close();
  });
});

describe("a hash that a file has to have", () => {
  it("is checked once all is read, wherever the file is kept", async () => {
    expectSame(await readAll(undefined, { sha256 }), file);
    expectSame(await readAll(undefined, { sha256, store }), file);
    expect((await KeptFile.list(store))[0]!.entry.sha256).toBe(sha256);
  });

  it("is checked of what has not been read as well, and in any order", async () => {
    const source = await open(undefined, { sha256, store });
    await source.read(file.length - 1, file.length);
    const progress: number[] = [];
    await source.verify!((checked, total) => progress.push(checked / total));
    expect(progress.at(-1)).toBe(1);
    await source.close();
    expect((await KeptFile.list(store))[0]!.isWhole).toBe(true);
  });

  it("and doesn't have is a FormatError; the file is not kept", async () => {
    const flipped = file.with(5_000_000, file[5_000_000]! ^ 4);
    server.files.set("/model.gguf", { bytes: flipped, etag: '"1"' });
    for (const place of [undefined, store]) {
      await expect(readAll(undefined, { sha256, store: place })).rejects.toThrow(
        new RegExp(`^Cannot use .*model.gguf: expected the SHA-256 ${sha256}, found `),
      );
    }
    expect(await KeptFile.list(store)).toEqual([]);
  });

  it("is checked of a file that was kept before anybody knew it", async () => {
    await readAll(undefined, { store });
    await expect(readAll(undefined, { store, sha256: "0".repeat(64) })).rejects.toThrow(FormatError);
    await readAll(undefined, { store });
    expectSame(await readAll(undefined, { store, sha256 }), file);
  });
});
