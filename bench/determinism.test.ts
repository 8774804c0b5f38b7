// The same bits from every build, number of threads and of stages, way to feed ids, and engine: this Node and those that CRIA_NODES names,
// paths between colons, and Chromium where it is.

import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hasChromium, launchChromium } from "../test/chromium.js";
import type { LogitsHash } from "./logits-hash.js";
import { customShape } from "./shapes.js";
import { serve } from "./static-server.js";
import { vocabularyOf, writeSyntheticModel } from "./synthetic-model.js";

const program = fileURLToPath(new URL("../dist/bench/determinism.js", import.meta.url));
const types = ["Q4_0", "Q8_0", "Q4_K", "F16", "F32"] as const;

let folder: string;
let models: string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cria-bits-"));
  const shape = customShape(
    { dim: 512, hidden: 768, layers: 2, heads: 8, kvHeads: 2, vocab: 400, context: 192 },
    false,
  );
  const vocabulary = await vocabularyOf(400);
  models = types.map((type) => {
    const path = join(folder, `${type}.gguf`);
    writeSyntheticModel(path, { name: type, shape, type, vocabulary, seed: 1 });
    return path;
  });
});
afterAll(() => rm(folder, { recursive: true }));

interface Report {
  readonly hashes: Readonly<Record<string, string>>;
  readonly ways: readonly string[];
}

/** What the program tells; it fails where two ways differ. */
async function reportOf(node: string, flags: readonly string[] = []): Promise<Report> {
  const { stdout } = await promisify(execFile)(node, [...flags, program, ...models], { timeout: 240_000 });
  return JSON.parse(stdout);
}

describe("logits of five types of weights with three types of cache", () => {
  it("have one hash each, in every build, with 1, 2 and 4 threads, on several stages, fed at once, in chunks and one by one", async () => {
    const { hashes, ways } = await reportOf(process.execPath);
    expect(new Set(Object.values(hashes)).size).toBe(3 * types.length);
    for (const way of ["1 threads, 1 stages", "2 threads, 2 stages", "4 threads, 1 stages"]) {
      expect(ways.join("\n")).toContain(way);
    }

    // Node 20 computes relaxed SIMD right without its baseline compiler only
    if (process.versions.node.startsWith("20.")) {
      const relaxed = await reportOf(process.execPath, ["--experimental-wasm-relaxed-simd", "--no-liftoff"]);
      expect(relaxed.hashes).toEqual(hashes);
      expect(relaxed.ways.length).toBeGreaterThan(ways.length);
    }
    for (const other of process.env.CRIA_NODES?.split(":") ?? []) {
      expect((await reportOf(other)).hashes, other).toEqual(hashes);
    }
  }, 500_000);

  it.skipIf(!hasChromium)(
    "are Node's in Chromium, on a page with threads and an import map",
    async () => {
      const { hashes } = await reportOf(process.execPath);
      const inChromium = await hashesInChromium();
      for (const [name, found] of Object.entries(inChromium)) {
        expect(new Set(found.map(({ hash }) => hash)), name).toEqual(new Set([hashes[name]]));
      }
      expect(Object.keys(inChromium).sort()).toEqual(Object.keys(hashes).sort());
      expect(JSON.stringify(inChromium)).toContain("4 threads");
    },
    500_000,
  );
});

type HashesOf = (file: string) => Promise<LogitsHash[]>;

/** By model and type of cache, what a page computes that has the built modules. */
async function hashesInChromium(): Promise<Record<string, LogitsHash[]>> {
  const repo = fileURLToPath(new URL("..", import.meta.url));
  const imports = { "@assemblyscript/loader": "/repo/node_modules/@assemblyscript/loader/index.js" };
  const server = await serve({
    html: `<!doctype html><script type="importmap">${JSON.stringify({ imports })}</script>
      <script type="module">
        import { logitsHashes } from "/repo/dist/bench/logits-hash.js";
        globalThis.hashesOf = async (file) =>
          logitsHashes(new Uint8Array(await (await fetch(file)).arrayBuffer()), [1, 2, 4]);
      </script>`,
    folders: { repo, models: `${folder}/` },
  });
  const browser = await launchChromium();
  try {
    const page = await browser.newPage();
    await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/`);
    await page.waitForFunction("globalThis.hashesOf");
    const byName: Record<string, LogitsHash[]> = {};
    for (const type of types) {
      const found = await page.evaluate(
        (file) => (globalThis as unknown as { hashesOf: HashesOf }).hashesOf(file),
        `/models/${type}.gguf`,
      );
      for (const one of found) {
        const name = `${type}.gguf, ${one.cacheType} cache`;
        byName[name] = [...(byName[name] ?? []), one];
      }
    }
    return byName;
  } finally {
    await browser.close();
    server.close();
    server.closeAllConnections();
  }
}
