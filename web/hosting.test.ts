// The page on hosts of all kinds: with and without the headers that isolate, under a strict policy, offline, in two tabs.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Browser, CDPSession, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type BuiltPage,
  buildPage,
  type Host,
  openTab,
  setSampling,
  visit,
  writeText,
} from "../test/built-page.js";
import { hasChromium, launchChromium } from "../test/chromium.js";

const tiny = fileURLToPath(new URL("../models/tiny.gguf", import.meta.url));

const isIsolated = (page: Page) => page.evaluate(() => crossOriginIsolated);

describe.skipIf(!hasChromium)("the page", () => {
  let built: BuiltPage;
  let isolating: Host;
  let plain: Host;
  let browser: Browser;
  beforeAll(async () => {
    built = await buildPage();
    isolating = await built.host();
    plain = await built.host({ headers: {} });
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser?.close();
    isolating?.close();
    plain?.close();
    await built?.remove();
  });

  it("isolates itself on a host without the headers, and works offline afterwards", async () => {
    const host = await built.host({ headers: {} });
    const { page, complaints } = await visit(browser, host.url);
    await page.waitForFunction(() => crossOriginIsolated);
    await setSampling(page, { maxTokens: 20 });
    const text = await writeText(page, "Once upon a time");
    expect(text).not.toBe("");
    expect(complaints).toEqual([]);

    host.close();
    await page.reload();
    expect(await isIsolated(page)).toBe(true);
    await setSampling(page, { maxTokens: 20 });
    expect(await writeText(page, "Once upon a time")).toBe(text);
    await page.context().close();
  });

  it("lets go of the files of the page before when a new one is there", async () => {
    const { page } = await visit(browser, isolating.url);
    const kept = () =>
      page.evaluate(async () => {
        const cache = await caches.open("cria-page");
        return (await cache.keys()).map(({ url }) => new URL(url).pathname);
      });
    await page.evaluate(() => navigator.serviceWorker.ready);
    await page.reload();
    await page.evaluate(async () => (await caches.open("cria-page")).put("assets/old.js", new Response("")));
    await page.reload();
    expect((await kept()).some((path) => path.endsWith("old.js"))).toBe(true);
    const index = join(built.folder, "index.html");
    const html = await readFile(index, "utf8");
    try {
      await writeFile(index, html.replace("</body>", "<!-- new --></body>"));
      await page.reload();
      expect((await kept()).some((path) => path.endsWith("old.js"))).toBe(false);
    } finally {
      await writeFile(index, html);
    }
    await page.context().close();
  });

  it("works without isolation, with one thread, and says so", async () => {
    const { page } = await visit(browser, plain.url, { serviceWorkers: "block" });
    expect(await isIsolated(page)).toBe(false);
    await setSampling(page, { maxTokens: 10 });
    expect(await writeText(page, "Once upon a time")).not.toBe("");
    expect(await page.textContent("#model-state")).toContain("one thread");
    expect(await page.textContent("#engine")).toContain("not cross-origin isolated");
    await page.context().close();
  });

  it("gives the same text in two tabs that write at once", async () => {
    const first = await visit(browser, isolating.url);
    const second = await first.page.context().newPage();
    const complaints = await openTab(second, isolating.url);
    const texts = await Promise.all(
      [first.page, second].map(async (page) => {
        await setSampling(page, { maxTokens: 200 });
        return writeText(page, "Once upon a time");
      }),
    );
    expect(texts[0]).not.toBe("");
    expect(texts[1]).toBe(texts[0]);
    expect([...first.complaints, ...complaints]).toEqual([]);
    await first.page.context().close();
  });

  describe("has a policy that", () => {
    /** The page with a policy of the test's, sent for its workers as well, as a strict host does. */
    async function hostWith(policy: string): Promise<Host> {
      const index = join(built.folder, "own.html");
      const html = await readFile(join(built.folder, "index.html"), "utf8");
      await writeFile(index, html.replace(/<meta http-equiv[^>]*>/, ""));
      const host = await built.host({ headers: { "Content-Security-Policy": policy } });
      return { ...host, url: host.url.replace("index.html", "own.html") };
    }

    async function pagesPolicy(): Promise<string> {
      const html = await readFile(join(built.folder, "index.html"), "utf8");
      return /http-equiv="Content-Security-Policy" content="([^"]*)"/
        .exec(html)![1]!
        .replaceAll("&#39;", "'");
    }

    it("is enough, on the page and its workers", async () => {
      const host = await hostWith(await pagesPolicy());
      const { page, complaints } = await visit(browser, host.url, { serviceWorkers: "block" });
      await setSampling(page, { maxTokens: 10 });
      expect(await writeText(page, "Once upon a time")).not.toBe("");
      await page.click("#tab-kernels");
      await page.selectOption("#kernels-which", { index: 1 });
      await page.fill("#kernels-seconds", "0.01");
      await page.click("#kernels-button");
      await page.locator("#kernels-table td").first().waitFor();
      expect(complaints.filter((text) => !text.includes("blocked by Playwright"))).toEqual([]);
      await page.context().close();
      host.close();
    }, 120_000);

    it("names what is missing when it does not allow WebAssembly", async () => {
      const policy = (await pagesPolicy()).replace(" 'wasm-unsafe-eval'", "");
      const host = await hostWith(policy);
      const { page } = await visit(browser, host.url, { serviceWorkers: "block" });
      await page.click("#write-button");
      await page.locator("#write-error", { hasText: "Cannot" }).waitFor();
      expect(await page.textContent("#write-error")).toMatch(
        /^Cannot compile the kernels: expected a Content-Security-Policy whose script-src has 'wasm-unsafe-eval'/,
      );
      await page.context().close();
      host.close();
    });
  });

  it("keeps its memory flat over ten loads", async () => {
    const { page } = await visit(browser, isolating.url);
    const session = await page.context().newCDPSession(page);
    const resident = await rendererMemory(browser, session);
    // from a file: what a page fetches is kept for the protocol that drives the browser
    const load = async () => {
      await page.setInputFiles("#model-file", tiny);
      await page.locator("#model-state", { hasText: "loaded in" }).waitFor();
      await setSampling(page, { maxTokens: 5 });
      expect(await writeText(page, "Once")).not.toBe("");
    };
    for (let round = 0; round < 4; round++) await load();
    const before = await resident();
    for (let round = 0; round < 10; round++) await load();
    const after = await resident();
    console.info(`renderer: ${(before / 1e6).toFixed(1)} MB, ten loads later ${(after / 1e6).toFixed(1)} MB`);
    // ten models that stay would be 50 MB
    expect(after - before).toBeLessThan(20e6);
    await page.context().close();
  }, 120_000);

  it("leaves the main thread to others while it writes", async () => {
    const { page } = await visit(browser, isolating.url);
    await setSampling(page, { maxTokens: 400 });
    await writeText(page, "Once upon a time");
    const longestTask = () =>
      page.evaluate(async () => {
        const tasks: number[] = [];
        const observer = new PerformanceObserver((list) => {
          tasks.push(...list.getEntries().map(({ duration }) => duration));
        });
        observer.observe({ type: "longtask" });
        document.querySelector<HTMLElement>("#write-button")!.click();
        const button = document.querySelector("#write-button")!;
        while (button.textContent === "Stop") await new Promise((resolve) => setTimeout(resolve, 20));
        return Math.max(0, ...tasks);
      });
    // the best of three: on a busy machine a task also takes as long as it waits for a core
    const longest = [await longestTask(), await longestTask(), await longestTask()];
    console.info(`longest tasks while writing: ${longest.join(", ")} ms (0: none over 50 ms)`);
    expect(Math.min(...longest)).toBeLessThanOrEqual(50);
    await page.context().close();
  });
});

/** Gives a function that collects garbage and tells the private memory of the process that shows the page, in bytes. */
async function rendererMemory(browser: Browser, page: CDPSession): Promise<() => Promise<number>> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  const renderers = processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id);
  const anonymous = async (pid: number) => {
    const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
    return Number(/^RssAnon:\s+(\d+)/m.exec(status)?.[1] ?? 0) * 1024;
  };
  return async () => {
    for (let i = 0; i < 3; i++) {
      await page.send("HeapProfiler.collectGarbage");
      await sleep(200);
    }
    let bytes = 0;
    for (const pid of renderers) bytes += await anonymous(pid);
    return bytes;
  };
}
