// The same bits from every build, number of threads, way to feed ids and version of Node: this one and those that CRIA_NODES names,
// paths between colons.

import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { customShape } from "./shapes.js";
import { vocabularyOf, writeSyntheticModel } from "./synthetic-model.js";

const program = fileURLToPath(new URL("../dist/bench/determinism.js", import.meta.url));
const types = ["Q4_0", "Q8_0", "Q4_K", "F16", "F32"] as const;

let folder: string;
let models: string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cria-bits-"));
  const shape = customShape(
    { dim: 512, hidden: 768, layers: 2, heads: 8, kvHeads: 2, vocab: 400, context: 128 },
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

async function hashesIn(node: string, flags: readonly string[] = []): Promise<Record<string, string>> {
  const { stdout } = await promisify(execFile)(node, [...flags, program, ...models], { timeout: 120_000 });
  return JSON.parse(stdout);
}

describe("logits of five types of weights", () => {
  it("have one hash each, in every build, with 1, 2 and 4 threads, fed at once, in chunks and one by one", async () => {
    const expected = await hashesIn(process.execPath);
    expect(Object.keys(expected)).toHaveLength(types.length);
    expect(new Set(Object.values(expected)).size).toBe(types.length);

    // Node 20 computes relaxed SIMD right without its baseline compiler only
    const node20 = process.versions.node.startsWith("20.");
    const relaxed = node20 ? ["--experimental-wasm-relaxed-simd", "--no-liftoff"] : [];
    expect(await hashesIn(process.execPath, relaxed)).toEqual(expected);
    for (const other of process.env.CRIA_NODES?.split(":") ?? []) {
      expect(await hashesIn(other), other).toEqual(expected);
    }
  }, 240_000);
});
