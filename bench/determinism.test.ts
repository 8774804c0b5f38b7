// The same bits from every build, number of threads and of stages, way to feed ids, and engine: this Node and those that CRIA_NODES names,
// paths between colons, and browsers: Chromium where it is, and those that CRIA_BROWSERS names.

import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { browsers, reportIn } from "../test/bare-browser.js";
import { customShape } from "./shapes.js";
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
  let ofNode: Report | undefined;

  it("have one hash each, in every build, with 1, 2 and 4 threads, on several stages, fed at once, in chunks and one by one", async () => {
    ofNode = await reportOf(process.execPath);
    const { hashes, ways } = ofNode;
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
    for (const other of (process.env.CRIA_NODES ?? "").split(":").filter(Boolean)) {
      expect((await reportOf(other)).hashes, other).toEqual(hashes);
    }
  }, 500_000);

  it.each(browsers)(
    "are the same in %s, on a page with threads and an import map",
    async (browser) => {
      ofNode ??= await reportOf(process.execPath);
      const report = await reportOfBrowser(browser);
      expect(report.hashes).toEqual(ofNode.hashes);
      expect(report.ways.join("\n")).toContain("4 threads");
    },
    400_000,
  );
});

/** What a page tells that has the built modules. Where two ways differ, its hash of a model and type of cache is both of them. */
async function reportOfBrowser(browser: string): Promise<Report> {
  const repo = fileURLToPath(new URL("..", import.meta.url));
  const imports = { "@assemblyscript/loader": "/repo/node_modules/@assemblyscript/loader/index.js" };
  const script = `
    import { logitsHashes } from "/repo/dist/bench/logits-hash.js";
    const hashes = {};
    const ways = new Set();
    for (const file of ${JSON.stringify(types.map((type) => `${type}.gguf`))}) {
      const bytes = new Uint8Array(await (await fetch("/models/" + file)).arrayBuffer());
      for (const { cacheType, how, hash } of await logitsHashes(bytes, [1, 2, 4])) {
        (hashes[file + ", " + cacheType + " cache"] ??= new Set()).add(hash);
        ways.add(how);
      }
    }
    const joined = Object.entries(hashes).map(([name, found]) => [name, [...found].join()]);
    postReport({ hashes: Object.fromEntries(joined), ways: [...ways] });`;
  const head = `<script type="importmap">${JSON.stringify({ imports })}</script>`;
  const site = { head, script, folders: { repo, models: `${folder}/` } };
  return (await reportIn(browser, site, 240_000)) as Report;
}
