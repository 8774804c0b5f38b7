// The built page, served as a host would serve it, for the tests that use it as visitors do.

import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { type Site, serve } from "../bench/static-server.js";

const root = fileURLToPath(new URL("..", import.meta.url));
/** Not part of the repository nor of the package; looked at by people. */
const screenshots = join(root, "dist", "screenshots");

export interface BuiltPage {
  /** Its folder on disk. */
  readonly folder: string;
  /** Serves it in a sub-folder of a host with the given headers (default: those that isolate). */
  host(options?: Pick<Site, "headers" | "files">): Promise<Host>;
  remove(): Promise<void>;
}

export interface Host {
  /** The page's address. */
  readonly url: string;
  close(): void;
}

/** Builds the page as `npm run web:build` does, into a folder of its own. */
export async function buildPage(): Promise<BuiltPage> {
  const folder = await mkdtemp(join(tmpdir(), "cria-web-"));
  const vite = join(root, "node_modules", "vite", "bin", "vite.js");
  const env = { ...process.env, NODE_ENV: "production" }; // not that of a test
  const into = join(folder, "some", "where");
  const args = [vite, "build", "web", "--outDir", into, "--emptyOutDir", "--logLevel", "warn"];
  await promisify(execFile)(process.execPath, args, { cwd: root, env });
  return {
    folder: into,
    async host(options = {}) {
      const server = await serve({ html: "", folders: { pages: `${folder}/` }, ...options });
      const { port } = server.address() as AddressInfo;
      return {
        url: `http://localhost:${port}/pages/some/where/index.html`,
        close() {
          server.close();
          server.closeAllConnections();
        },
      };
    },
    remove: () => rm(folder, { recursive: true }),
  };
}

/** A visitor's tab, with what went wrong in it. */
export interface Visit {
  readonly page: Page;
  /** Uncaught errors, warnings, errors on the console. */
  readonly complaints: readonly string[];
}

/** Opens an address in a fresh profile. */
export async function visit(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<Visit> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  return { page, complaints: await openTab(page, url) };
}

/** Opens an address; what goes wrong in the tab from then on. */
export async function openTab(page: Page, url: string): Promise<readonly string[]> {
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  await page.goto(url);
  return complaints;
}

/** Sets the sliders and fields that decide which text is written. */
export async function setSampling(
  page: Page,
  {
    temperature = 0.8,
    seed = 5,
    maxTokens = 40,
  }: { temperature?: number; seed?: number; maxTokens?: number },
): Promise<void> {
  await page.fill("#temperature", String(temperature));
  await page.fill("#max-tokens", String(maxTokens));
  await page.fill("#seed", String(seed));
}

/** Has the page write, and gives the text without its beginning. */
export async function writeText(page: Page, prompt: string): Promise<string> {
  await page.fill("#prompt", prompt);
  await page.click("#write-button");
  await whenIdle(page, "#write-button", "Write");
  return writtenText(page);
}

/** Has the page write, and stops it at a token, in the very task that shows it: any later it may have come to its end. */
export async function writeAndStop(page: Page, tokens: number): Promise<void> {
  await page.evaluate((tokens) => {
    const button = document.querySelector<HTMLElement>("#write-button")!;
    const text = document.querySelector("#write-text")!;
    const observer = new MutationObserver(() => {
      if (text.querySelectorAll(".token").length < tokens) return;
      observer.disconnect();
      button.click();
    });
    button.click();
    observer.observe(text, { childList: true });
  }, tokens);
  await page.locator("#write-text .token").first().waitFor();
  await whenIdle(page, "#write-button", "Write");
}

export async function writtenText(page: Page): Promise<string> {
  return (await page.locator("#write-text .token").allTextContents()).join("");
}

/** Resolves when a button that says "Stop" while it is busy says what it said before. */
export async function whenIdle(page: Page, button: string, label: string): Promise<void> {
  await page.locator(button, { hasText: label }).waitFor();
}

export async function screenshot(page: Page, name: string): Promise<void> {
  await mkdir(screenshots, { recursive: true });
  await page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true });
}
