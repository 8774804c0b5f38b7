// A model's worker in a real browser: Chromium, where it is installed.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { serve } from "../../bench/static-server.js";
import { hasChromium, launchChromium } from "../../test/chromium.js";
import { load } from "../index.js";

const html = `<!doctype html>
<script type="importmap">
  { "imports": { "@assemblyscript/loader": "/repo/node_modules/@assemblyscript/loader/index.js" } }
</script>
<script type="module">
  import { load } from "/repo/dist/runtime/index.js";

  /** What becomes of it, within ten seconds from now. */
  function outcome(promise) {
    const late = new Promise((resolve) => setTimeout(resolve, 10_000, "still waiting"));
    return Promise.race([Promise.resolve(promise).then(() => "done", String), late]);
  }

  async function write(model, onToken) {
    for (;;) for await (const _ of model.generate("Once upon a time", { maxTokens: 100 })) onToken();
  }

  let model;
  let underWay;
  globalThis.api = {
    /** Loads a model; resolves when it writes, one text at once and another one in the queue, without an end. */
    async begin(options) {
      model = await load("tiny", options);
      await new Promise((resolve) => {
        underWay = [write(model, resolve), write(model, () => {})];
        for (const writing of underWay) writing.catch(() => {}); // asked for later
      });
      return model.threads;
    },
    /** Asks for a model whose source gives nothing; resolves when it has been asked. */
    beginToLoad: () =>
      new Promise((resolve) => {
        const read = () => {
          resolve();
          return new Promise(() => {});
        };
        underWay = [load({ name: "mute", size: 1e6, read })];
        underWay[0].catch(() => {}); // asked for later
      }),
    outcomes: () => Promise.all(underWay.map(outcome)),
    next: () => outcome(model.generate("Once", { maxTokens: 1 })),
    disposed: () => outcome(model.dispose()),
    async tokens(options) {
      const model = await load("tiny", options);
      const { tokens } = await model.generate("Once upon a time", { temperature: 0, maxTokens: 20 });
      await model.dispose();
      return tokens;
    },
  };
</script>`;

/** The package's workers, but for the threads: they compute nothing, and end when they are told to, if need be with a part of a job taken. */
const mortalThreads = `
  import { JobSlot } from "/repo/dist/runtime/pool/job-slot.js";
  import { ownThread } from "/repo/dist/runtime/pool/thread.js";
  import { engineWork } from "/repo/dist/runtime/worker/engine-work.js";

  const thread = ownThread();
  const receive = engineWork(thread);
  thread.receive((message) => {
    if (message.kind !== "compute") return receive(message);
    thread.send({ kind: "ready" });
    const slot = new JobSlot(message.slot);
    new BroadcastChannel("end").onmessage = ({ data }) => {
      if (data === "in a job") while (!slot.claim({}));
      close();
    };
  });`;

/** The package's script, run a second time, as WebKit does with one that another module imports from. */
const scriptTwice = `
  import "/repo/dist/runtime/worker/worker.js";
  import "/repo/dist/runtime/worker/worker.js?again";`;

const failing = `
  import { ownThread } from "/repo/dist/runtime/pool/thread.js";
  ownThread().receive(() => { throw new Error("no such message"); });`;

describe.skipIf(!hasChromium)("in Chromium", () => {
  let expected: readonly number[];
  let folder: string;
  let isolating: Server;
  let plain: Server;
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    await using model = await load();
    expected = (await model.generate("Once upon a time", { temperature: 0, maxTokens: 20 })).tokens;
    folder = await mkdtemp(join(tmpdir(), "cria-workers-"));
    await writeFile(join(folder, "threads.js"), mortalThreads);
    await writeFile(join(folder, "twice.js"), scriptTwice);
    await writeFile(join(folder, "failing.js"), failing);
    const folders = { repo: fileURLToPath(new URL("../..", import.meta.url)), own: `${folder}/` };
    isolating = await serve({ html, folders });
    plain = await serve({ html, folders, headers: {} });
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser.close();
    for (const server of [isolating, plain]) {
      server.close();
      server.closeAllConnections();
    }
    await rm(folder, { recursive: true });
  });
  beforeEach(async () => {
    page = await browser.newPage();
  });
  afterEach(() => page.close());

  async function open(server: Server): Promise<void> {
    await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/`);
    await page.waitForFunction("globalThis.api");
  }

  /** Closes the model's worker from inside, as nobody is told of. */
  async function endWorker(): Promise<void> {
    const worker = page.workers().find((one) => one.url().endsWith("/engine-worker.js"))!;
    await worker.evaluate("close()");
  }

  /** What is under way and what comes fails for the reason; the page goes on with another model. */
  async function expectOver(reason: string): Promise<void> {
    expect(await page.evaluate("api.outcomes()")).toEqual([reason, reason]);
    expect(await page.evaluate("api.next()")).toBe(reason);
    expect(await page.evaluate("api.disposed()")).toBe("done");
    expect(await page.evaluate("api.tokens({ threads: 2 })")).toEqual(expected);
  }

  const worker = "ThreadError: Cannot compute: the worker of the model ended";

  it.each([
    ["isolated", 2],
    ["not isolated", 1],
  ])("a page that is %s is told when a model's worker ends while it writes", async (which, threads) => {
    await open(threads > 1 ? isolating : plain);
    expect(await page.evaluate("crossOriginIsolated"), which).toBe(threads > 1);
    expect(await page.evaluate("api.begin({ threads: 2 })")).toBe(threads);
    await endWorker();
    await expectOver(worker);
  });

  it("a page is told when a model's worker ends while it loads", async () => {
    await open(isolating);
    await page.evaluate("api.beginToLoad()");
    await endWorker();
    expect(await page.evaluate("api.outcomes()")).toEqual([worker]);
    expect(await page.evaluate("api.tokens()")).toEqual(expected);
  });

  it.each([
    ["in a job, for whose part the others wait", "in a job", "one has ended"],
    ["between jobs", "now", "number 1 ended"],
  ])("a page is told when one of a model's threads ends %s", async (_, when, reason) => {
    await open(isolating);
    const thread = `ThreadError: Cannot compute: expected 2 threads at work, ${reason}`;
    expect(await page.evaluate('api.begin({ threads: 2, workerUrl: "/own/threads.js" })')).toBe(2);
    await page.evaluate(`new BroadcastChannel("end").postMessage("${when}")`);
    await expectOver(thread);
  });

  it("a worker whose script runs twice takes messages once", async () => {
    await open(isolating);
    expect(await page.evaluate('api.tokens({ threads: 2, workerUrl: "/own/twice.js" })')).toEqual(expected);
  });

  it("a page is told what a worker fails with when it takes a message", async () => {
    await open(isolating);
    const loaded = page.evaluate('api.tokens({ workerUrl: "/own/failing.js" })');
    await expect(loaded).rejects.toThrow("no such message");
  });
});
