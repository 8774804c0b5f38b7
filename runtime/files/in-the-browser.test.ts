// Model files in a real browser: Chromium, where it is installed.

import { createHash } from "node:crypto";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { serve } from "../../bench/static-server.js";
import { hasChromium, launchChromium } from "../../test/chromium.js";
import { type FileServer, startFileServer } from "../../test/file-server.js";
import { randomCheckpoint, smallConfig } from "../../test/random-model.js";
import { checkpointToGguf, plainVocabulary } from "../../test/write-gguf.js";
import type { RemoteModel } from "../index.js";
import { load } from "../index.js";
import type { CachedFile } from "./model-cache.js";

// some 9 MB, three segments
const config = smallConfig({ vocabSize: 320, dim: 128, hiddenDim: 512, nLayers: 8 });
const gguf = await checkpointToGguf(randomCheckpoint({ config, type: "F32", seed: 5 }), plainVocabulary(320));
const sha256 = createHash("sha256").update(gguf).digest("hex");

/** What the page has to offer. */
interface PageApi {
  /** The tokens that the model writes, or the name and the message of the error. */
  tokensOf(from: string | RemoteModel, abortAfterMs?: number): Promise<number[] | string>;
  kept(): Promise<CachedFile[]>;
  clear(): Promise<void>;
  /** Changes one byte of a segment that is kept. */
  damage(segment: string): Promise<void>;
  /** Phases and rates that were told while the last model was loaded. */
  progress: { readonly phase: string; readonly bytesPerSecond: number }[];
}

const html = `<!doctype html>
<script type="importmap">{ "imports": {
  "@assemblyscript/loader": "/repo/node_modules/@assemblyscript/loader/index.js",
  "@huggingface/jinja": "/repo/node_modules/@huggingface/jinja/dist/index.js" } }</script>
<script type="module">
  import { load, loadInThread, openModelCache } from "/repo/dist/runtime/index.js";
  globalThis.api = {
    progress: [],
    async tokensOf(from, abortAfterMs) {
      api.progress = [];
      const signal = abortAfterMs === undefined ? undefined : AbortSignal.timeout(abortAfterMs);
      try {
        const onProgress = (progress) => api.progress.push(progress);
        const model = await (globalThis.inThread ? loadInThread : load)(from, { contextLength: 16, signal, onProgress });
        const { tokens } = await model.generate("ab c", { temperature: 0, maxTokens: 8 });
        await model.dispose();
        return tokens;
      } catch (error) {
        return error.name + ": " + error.message;
      }
    },
    kept: async () => (await openModelCache()).list(),
    clear: async () => (await openModelCache()).clear(),
    async damage(segment) {
      const root = await (await navigator.storage.getDirectory()).getDirectoryHandle("cria-models");
      for await (const folder of root.values()) {
        const file = await folder.getFileHandle(segment);
        const bytes = new Uint8Array(await (await file.getFile()).arrayBuffer());
        bytes[1000] ^= 1;
        const writable = await file.createWritable();
        await writable.write(bytes);
        await writable.close();
      }
    },
  };
</script>`;

describe.skipIf(!hasChromium)("in Chromium, a model by its address", () => {
  let expected: readonly number[];
  let files: FileServer;
  let pages: Server;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let url: string;

  beforeAll(async () => {
    await using model = await load(gguf, { contextLength: 16 });
    expected = (await model.generate("ab c", { temperature: 0, maxTokens: 8 })).tokens;
    files = await startFileServer();
    url = `${files.url}/model.gguf`;
    const repo = fileURLToPath(new URL("../..", import.meta.url));
    pages = await serve({ html, folders: { repo } });
    browser = await launchChromium();
  }, 60_000);
  afterAll(async () => {
    await browser.close();
    await files.close();
    pages.close();
    pages.closeAllConnections();
  });
  beforeEach(async () => {
    context = await browser.newContext(); // with nothing kept
    page = await openPage();
    files.files.clear();
    files.files.set("/model.gguf", { bytes: gguf, etag: '"1"' });
    files.faults.length = 0;
    files.requests.length = 0;
  });
  afterEach(() => context.close());

  const origin = () => `http://localhost:${(pages.address() as AddressInfo).port}`;

  async function openPage(prepare?: () => void): Promise<Page> {
    const page = await context.newPage();
    if (prepare) await page.addInitScript(prepare);
    await page.goto(`${origin()}/`);
    await page.waitForFunction("globalThis.api");
    return page;
  }

  type Question = "tokensOf" | "kept" | "clear" | "damage";
  type Answer<Name extends Question> = Awaited<ReturnType<PageApi[Name]>>;

  /** What one of a page's functions gives. */
  function askOf<Name extends Question>(page: Page, name: Name, ...args: Parameters<PageApi[Name]>) {
    const call = `((args) => api[${JSON.stringify(name)}](...args))(${JSON.stringify(args)})`;
    return page.evaluate(call) as Promise<Answer<Name>>;
  }

  const ask = <Name extends Question>(name: Name, ...args: Parameters<PageApi[Name]>) =>
    askOf(page, name, ...args);

  const ranges = () => files.requests.map(({ range }) => range);
  const down = () => files.faults.push(...Array(50).fill({ dropAfter: -1 }));

  it("writes what it writes in Node, is kept, and is there offline after a reload", async () => {
    expect(await ask("tokensOf", { url, sha256 })).toEqual(expected);
    expect(ranges()).toEqual(["bytes=0-"]);
    const [kept] = await ask("kept");
    expect(kept).toMatchObject({ url, size: gguf.length, cachedBytes: gguf.length, isWhole: true, sha256 });
    await page.reload();
    await page.waitForFunction("globalThis.api");
    down();
    expect(await ask("tokensOf", url)).toEqual(expected);
    await ask("clear");
    expect(await ask("kept")).toEqual([]);
  });

  it("tells its progress with rate and phase", async () => {
    await ask("tokensOf", url);
    const seen = (await page.evaluate("api.progress")) as PageApi["progress"];
    expect(new Set(seen.map(({ phase }) => phase))).toEqual(new Set(["weights"]));
    expect(seen.at(-1)).toMatchObject({ loaded: expect.any(Number), secondsLeft: 0 });
    expect(seen.at(-1)!.bytesPerSecond).toBeGreaterThan(0);
  });

  it("goes on where the download was broken off, in a page that was opened since", async () => {
    files.faults.push({ endAfter: 6_000_000 }, { status: 404 });
    expect(await ask("tokensOf", url)).toMatch(/^NetworkError: .*status 404/);
    expect(await ask("kept")).toMatchObject([{ isWhole: false, cachedBytes: 2 ** 22 }]);
    await page.close();
    page = await openPage();
    files.requests.length = 0;
    expect(await ask("tokensOf", url)).toEqual(expected);
    expect(ranges()).toEqual(["bytes=0-", `bytes=${2 ** 22}-`]);
  });

  it("heals where what is kept is damaged", async () => {
    await ask("tokensOf", url);
    await ask("damage", "1");
    files.requests.length = 0;
    expect(await ask("tokensOf", url)).toEqual(expected);
    expect(ranges()).toEqual(["bytes=0-", `bytes=${2 ** 22}-`]);
    files.requests.length = 0;
    expect(await ask("tokensOf", url)).toEqual(expected);
    expect(ranges()).toEqual(["bytes=0-"]);
    await ask("damage", "0");
    down();
    expect(await ask("tokensOf", url)).toMatch(/^NetworkError: /);
  });

  it("is downloaded once by two tabs that ask at the same time", async () => {
    const other = await openPage();
    const both = await Promise.all([ask("tokensOf", url), askOf(other, "tokensOf", url)]);
    expect(both).toEqual([expected, expected]);
    expect(await ask("kept")).toMatchObject([{ isWhole: true }]);
    // each asks at the beginning, and a tab that finds the next segment missing asks for that
    expect(files.requests.length).toBeLessThanOrEqual(2 + 3);
  });

  it("is fetched anew when the server has another one, which may fail without harm", async () => {
    await ask("tokensOf", url);
    files.files.set("/model.gguf", { bytes: gguf, etag: '"2"' });
    files.faults.push({ dropAfter: 5_000_000 }, { status: 410 });
    expect(await ask("tokensOf", url)).toMatch(/^NetworkError: .*status 410/);
    down();
    expect(await ask("tokensOf", url)).toEqual(expected);
    files.faults.length = 0;
    expect(await ask("tokensOf", url)).toEqual(expected);
    expect((await ask("kept")).length).toBe(1);
  });

  it("for which there is no room is a StorageError; what was kept before stays, and what there was room for", async () => {
    files.files.set("/small.gguf", { bytes: gguf, etag: '"s"' });
    expect(await ask("tokensOf", `${files.url}/small.gguf`)).toEqual(expected);
    const session = await context.newCDPSession(page);
    const quotaSize = 2 * gguf.length - 1_000_000; // of which estimate() tells nothing: it always says 10 GB
    await session.send("Storage.overrideQuotaForOrigin", { origin: origin(), quotaSize });
    expect(await ask("tokensOf", url)).toMatch(
      /^StorageError: Cannot keep a model's file in the browser's file system: expected room for it, found no room; delete other models, or load without a cache$/,
    );
    expect(await ask("tokensOf", { url, cache: false })).toEqual(expected);
    expect(await ask("kept")).toMatchObject([
      { cachedBytes: 2 ** 22, isWhole: false },
      { cachedBytes: gguf.length },
    ]);
    down();
    expect(await ask("tokensOf", `${files.url}/small.gguf`)).toEqual(expected);
  });

  it("is kept by the Cache API where the file system can't be written, and not at all where nothing is", async () => {
    const withCacheApi = await openPage(() => {
      Object.assign(globalThis, { inThread: true }); // a worker has all that is taken from the page here
      Reflect.deleteProperty(FileSystemFileHandle.prototype, "createWritable");
    });
    expect(await askOf(withCacheApi, "tokensOf", url)).toEqual(expected);
    expect(await withCacheApi.evaluate("caches.keys()")).toEqual(["cria-models"]);
    expect(await askOf(withCacheApi, "kept")).toMatchObject([{ isWhole: true, cachedBytes: gguf.length }]);
    files.faults.push({ dropAfter: -1 });
    expect(await askOf(withCacheApi, "tokensOf", url)).toEqual(expected);
    await askOf(withCacheApi, "clear");
    expect(await askOf(withCacheApi, "kept")).toEqual([]);

    files.faults.length = 0;
    const withNothing = await openPage(() => {
      Object.assign(globalThis, { inThread: true }); // a worker has all that is taken from the page here
      Reflect.deleteProperty(FileSystemFileHandle.prototype, "createWritable");
      Reflect.deleteProperty(globalThis, "caches");
    });
    expect(await askOf(withNothing, "tokensOf", url)).toEqual(expected);
    expect(await askOf(withNothing, "tokensOf", { url, cache: true })).toMatch(
      /^StorageError: Cannot open a cache/,
    );
  });

  it("of another hash is refused, and not kept", async () => {
    const wrong = { url, sha256: sha256.replace(/^./, (digit) => (digit === "0" ? "1" : "0")) };
    expect(await ask("tokensOf", wrong)).toMatch(new RegExp(`^FormatError: .* found ${sha256}$`));
    expect(await ask("kept")).toEqual([]);
  });

  it("that isn't there, is a web page, or comes from nowhere says so", async () => {
    expect(await ask("tokensOf", `${files.url}/none.gguf`)).toMatch(/^NetworkError: .*status 404/);
    files.files.set("/page", { bytes: new TextEncoder().encode("<html>"), type: "text/html" });
    expect(await ask("tokensOf", `${files.url}/page`)).toMatch(/^FormatError: .*an HTML page/);
    files.files.set("/text", { bytes: new TextEncoder().encode("no model") });
    expect(await ask("tokensOf", `${files.url}/text`)).toMatch(/^FormatError: .*not a model/);
    expect(await ask("tokensOf", "http://127.0.0.1:1/x.gguf")).toMatch(/^NetworkError: .*Failed to fetch/);
  });

  it("of a server that knows no ranges, and of the page's own by a relative one, works as well", async () => {
    files.files.set("/model.gguf", { bytes: gguf, etag: '"1"', ranges: false });
    files.faults.push({ dropAfter: 5_000_000 });
    expect(await ask("tokensOf", url)).toEqual(expected);
    expect(await ask("tokensOf", "repo/dist/models/tiny.gguf")).toHaveLength(8);
    expect(await ask("tokensOf", "tiny")).toHaveLength(8);
  });

  it("ends with its signal, though the server says nothing", async () => {
    files.faults.push({ stallAfter: 3_000_000 });
    expect(await ask("tokensOf", url, 300)).toMatch(/^TimeoutError: /);
    await expect.poll(() => files.openAnswers()).toBe(0);
  });
});
