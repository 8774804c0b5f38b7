// The package as others use it: packed, installed from the tarball, built by bundlers or not at all. Each gets the same tokens. Also how
// large it is in a page, and whether its types fit. Installs from the npm registry that is configured.

import { execFile, spawn } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify, stripVTControlCharacters } from "node:util";
import { gzipSync } from "node:zlib";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { serve } from "../../bench/static-server.js";
import { load } from "../../dist/runtime/index.js";
import { browsers, reportIn } from "../bare-browser.js";
import { extensionUrl, hasChromium, launchChromium, launchWithExtension } from "../chromium.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const fixtures = fileURLToPath(new URL("./fixtures/", import.meta.url));
const run = promisify(execFile);

/** What a consumer tells of the text that all of them write. */
interface Report {
  readonly tokens: readonly number[];
  readonly threads: number;
  readonly inThread: boolean;
}

let folder: string;
let tarball: string;
let expected: Report;
let browser: Browser | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cria-consumers-"));
  const { stdout } = await run("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", folder], {
    cwd: root,
  });
  tarball = join(folder, JSON.parse(stdout)[0].filename);
  const model = await load();
  const { tokens } = await model.generate("Once upon a time", { maxTokens: 20, seed: 1 });
  await model.dispose();
  expect(tokens).toHaveLength(20);
  expected = { tokens, threads: 2, inThread: false };
  if (hasChromium) browser = await launchChromium();
});
afterAll(async () => {
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
});

/** A consumer of its own, with the tarball and what its package.json names installed. */
async function install(name: string): Promise<string> {
  const consumer = join(folder, name);
  await cp(join(fixtures, name), consumer, { recursive: true });
  await run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", tarball], { cwd: consumer });
  return consumer;
}

/** What a page reports, once it has written its text. */
async function reportOf(url: string): Promise<Report> {
  const page = await browser!.newPage();
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));
  try {
    await page.goto(url);
    const report = page.waitForFunction(() => (globalThis as { report?: Report }).report);
    return (await (await report).jsonValue())!;
  } catch (cause) {
    throw new Error(`expected a report from ${url}, found ${errors.join("; ") || "none"}`, { cause });
  } finally {
    await page.close();
  }
}

/** What a page of static files reports. */
async function reportFrom(files: string, html: string): Promise<Report> {
  const server = await serve({ html, folders: { files: `${files}/` } });
  try {
    return await reportOf(`http://localhost:${(server.address() as AddressInfo).port}/`);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

/** What the page of an unpacked extension reports, or the error that it ends with. */
async function reportOfExtension(files: string): Promise<Report | string> {
  const context = await launchWithExtension(files);
  try {
    const page = await context.newPage();
    const failed = page.waitForEvent("pageerror", { timeout: 0 }).then(
      ({ message }) => message,
      () => "none",
    );
    await page.goto(`${extensionUrl(files)}index.html`);
    // waitForFunction() evaluates text in the page, which its policy forbids
    const report = page.evaluate(async () => {
      const found = globalThis as { report?: Report };
      while (!found.report) await new Promise((resolve) => setTimeout(resolve, 50));
      return found.report;
    });
    report.catch(() => {}); // of the page that is closed after a failure
    return await Promise.race([report, failed]);
  } finally {
    await context.close();
  }
}

it("Node gets the same tokens, on the main thread and in a worker", async () => {
  const cwd = await install("node");
  for (const program of ["main.js", "in-worker.js"]) {
    const { stdout } = await run(process.execPath, [program], { cwd });
    expect(JSON.parse(stdout), program).toEqual(expected);
  }
});

it("its types resolve as its modules do, for all who use ES modules", async () => {
  const cwd = await install("types");
  // fails where there are problems; tiny.gguf is an entry, but no module
  const { stdout } = await run("npm", ["run", "check", "--", tarball], { cwd });
  expect(stdout).toContain('"cria/tokenizer"');
});

it.skipIf(!hasChromium)("a page without a bundler gets them, by an import map", async () => {
  const consumer = await install("import-map");
  const html = await readFile(join(consumer, "index.html"), "utf8");
  expect(await reportFrom(consumer, html.replaceAll("./node_modules", "/files/node_modules"))).toEqual(
    expected,
  );
});

it.skipIf(!hasChromium)("a page built by webpack gets them", async () => {
  const consumer = await install("webpack");
  await run("npm", ["run", "build"], { cwd: consumer });
  const html = '<!doctype html><script type="module" src="/files/main.js"></script>';
  expect(await reportFrom(join(consumer, "dist"), html)).toEqual(expected);
});

describe("with Vite", () => {
  let consumer: string;
  beforeAll(async () => {
    consumer = await install("vite");
    for (const part of ["service-worker", "extension"]) {
      await run("npm", ["run", "build", "--", part], { cwd: consumer });
    }
  });

  /** Builds the page from an entry, into a folder of the consumer's. Vite's default for workers is "iife": all in one script. */
  async function buildPage(entry: string, outDir: string, workers: "es" | "iife"): Promise<string> {
    const program = `
      import { build } from "vite";
      const [input, outDir, format] = process.argv.slice(1);
      const options = { outDir, emptyOutDir: true, rollupOptions: { input } };
      await build({ logLevel: "error", worker: { format }, build: options });`;
    const args = ["--input-type=module", "-e", program, entry, outDir, workers];
    await run(process.execPath, args, { cwd: consumer });
    return join(consumer, outDir);
  }

  // WebKit runs the script of a worker anew for each other module that imports from it, as "es" makes some do
  describe.each(["iife", "es"] as const)("a built page with workers as %s", (workers) => {
    it.each(browsers)("gets them in %s", async (browser) => {
      const built = await buildPage("index.html", `dist-${workers}`, workers);
      const html = await readFile(join(built, "index.html"), "utf8");
      const head = html.replaceAll("./assets", "/files/assets");
      // it tells its report by a global variable
      const script = `
        while (!globalThis.report) await new Promise((resolve) => setTimeout(resolve, 20));
        postReport(globalThis.report);`;
      const folders = { files: `${built}/` };
      expect(await reportIn(browser, { head, script, folders }, 60_000)).toEqual(expected);
    });
  });

  it.skipIf(!hasChromium)("a service worker built as one file gets them, in its thread", async () => {
    const built = join(consumer, "service-worker", "dist");
    const html = await readFile(join(built, "index.html"), "utf8");
    const inThread = { ...expected, threads: 1, inThread: true };
    expect(await reportFrom(built, html.replace("./service-worker.js", "/files/service-worker.js"))).toEqual([
      inThread,
      inThread,
    ]);
  });

  describe.skipIf(!hasChromium)("the page of an extension", () => {
    const sources = () => join(consumer, "extension");
    const built = () => join(sources(), "dist");

    /** The built extension with another manifest. */
    async function withManifest(name: string, change: (manifest: string) => string): Promise<string> {
      const copy = join(consumer, name);
      await cp(built(), copy, { recursive: true });
      const manifest = await readFile(join(copy, "manifest.json"), "utf8");
      await writeFile(join(copy, "manifest.json"), change(manifest));
      return copy;
    }

    it("gets them, with threads", async () => {
      expect(await reportOfExtension(built())).toEqual(expected);
    });

    it("gets them without a bundler, from the package's own files", async () => {
      const plain = join(consumer, "plain-extension");
      await cp(join(sources(), "public"), plain, { recursive: true });
      await cp(join(sources(), "index.html"), join(plain, "index.html"));
      await cp(join(consumer, "node_modules", "cria", "dist"), join(plain, "cria"), { recursive: true });
      const main = await readFile(join(sources(), "main.js"), "utf8");
      await writeFile(join(plain, "main.js"), main.replace('"cria"', '"./cria/runtime/index.js"'));
      expect(await reportOfExtension(plain)).toEqual(expected);
    });

    it("gets them on one thread when its manifest does not isolate it", async () => {
      const shared = await withManifest("not-isolated", (manifest) =>
        manifest.replace(/,\s*"cross_origin_opener_policy".*?}/, ""),
      );
      expect(await reportOfExtension(shared)).toEqual({ ...expected, threads: 1 });
    });

    it("is told when its manifest does not allow WebAssembly", async () => {
      const refused = await withManifest("refused", (manifest) =>
        manifest.replace(" 'wasm-unsafe-eval'", ""),
      );
      expect(await reportOfExtension(refused)).toContain("found one without it");
    });
  });

  it.skipIf(!hasChromium)("a page in development gets them", async () => {
    const vite = join(consumer, "node_modules", "vite", "bin", "vite.js");
    const server = spawn(process.execPath, [vite, "--port", "0", "--host", "localhost"], { cwd: consumer });
    try {
      expect(await reportOf(await addressIn(server.stdout))).toEqual(expected);
    } finally {
      server.kill();
    }
  });

  /**
   * Gzipped bytes of what a page loads that is built from an entry: its modules, not those that wait for their use, and its workers. These are
   * built as modules too: as Vite makes them by default, all that waits is part of them.
   */
  async function gzippedBuild(entry: string): Promise<number> {
    const out = await buildPage(entry, `size-${entry}`, "es");
    const assets = join(out, "assets");
    const begins = [`${basename(entry, ".js")}-`, "engine-worker-", "crew-worker-"];
    const loaded = new Map<string, string>();
    for (const name of await readdir(assets)) {
      if (begins.some((begin) => name.startsWith(begin))) await addWithImports(assets, name, loaded);
    }
    const sizes = [...loaded].map(([name, code]) => [name, gzipSync(code).length] as const);
    const bytes = sizes.reduce((sum, [, size]) => sum + size, 0);
    console.info(`${entry}: ${bytes} bytes gzipped (${sizes.map((size) => size.join(" ")).join(", ")})`);
    return bytes;
  }

  // The limits are what was promised. Of load's: 26 are the three builds of the kernels, 38 the rest of the engine's worker (its readers of
  // GGUF, the plan, the forward pass, sampling, sessions), 2 the threads' worker, 13 the tokenizer on the page, the rest the page's API.
  it.each([
    ["load and generate", "main.js", 100_000],
    ["the tokenizer of a SentencePiece model", "tokenizer.js", 15_000],
    ["the tokenizer of any form", "any-tokenizer.js", 19_500],
  ])("%s stays small", async (_, entry, most) => {
    expect(await gzippedBuild(entry)).toBeLessThanOrEqual(most);
  });
});

/** Adds a built module and all that it imports, not what it imports when that is needed. */
async function addWithImports(folder: string, name: string, loaded: Map<string, string>): Promise<void> {
  if (loaded.has(name)) return;
  const code = await readFile(join(folder, name), "utf8");
  loaded.set(name, code);
  for (const [, other] of code.matchAll(/\b(?:import|from)\s*["'`]\.\/([^"'`]+\.js)["'`]/g)) {
    await addWithImports(folder, other!, loaded);
  }
}

/** The address that a program prints. */
async function addressIn(output: NodeJS.ReadableStream): Promise<string> {
  let printed = "";
  for await (const chunk of output) {
    printed += stripVTControlCharacters(String(chunk));
    const address = /http:\/\/localhost:\d+\//.exec(printed);
    if (address) return address[0];
  }
  throw new Error(`expected an address, found ${printed}`);
}
