import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cria } from "../test/cria-program.js";

describe("cria perplexity", () => {
  let folder: string;
  let file: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "cria-perplexity-"));
    file = join(folder, "text.txt");
    await writeFile(
      file,
      "Once upon a time, there was a little girl named Lily. She loved to play outside.\n",
    );
  });
  afterAll(() => rm(folder, { recursive: true }));

  it("writes one JSON object with --json: the figures, and what they were measured on", async () => {
    const { code, stdout } = await cria(["perplexity", "tiny", file, "--json"]);
    expect(code).toBe(0);
    const result = JSON.parse(stdout);
    expect(Object.keys(result)).toEqual(["bitsPerByte", "perplexity", "tokens", "bytes"]);
    expect(result.bytes).toBe(81);
    // the three figures are one: bits = tokens * log2(perplexity)
    const bits = result.tokens * Math.log2(result.perplexity);
    expect(result.bitsPerByte * result.bytes).toBeCloseTo(bits, 9);
    // a uniform guess among 4,096 pieces would take 12 bits a token
    expect(bits / result.tokens).toBeLessThan(6);
  });

  it("writes a line for people without it", async () => {
    const { stdout } = await cria(["perplexity", "tiny", file]);
    expect(stdout).toMatch(/^\d\.\d{4} bits per byte, perplexity \d+\.\d{3} \(\d+ tokens, 81 bytes\)\n$/);
  });

  it.each([[[]], [["tiny"]], [["tiny", "a", "b"]]])("takes a model and a file, not %j", async (args) => {
    const { code, stderr } = await cria(["perplexity", ...args]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^cria: Cannot measure perplexity: expected a model and a text file/);
  });

  it.skipIf(process.platform === "win32")(
    "refuses a text without end, before it fills the memory",
    async () => {
      const { code, stderr } = await cria(["perplexity", "tiny", "/dev/zero"]);
      expect([code, stderr]).toEqual([1, expect.stringContaining("at most 268,435,456 bytes")]);
    },
  );

  it("fails on a file that is missing, empty or a directory", async () => {
    const missing = await cria(["perplexity", "tiny", join(folder, "missing.txt")]);
    expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining("missing.txt")]);
    const directory = await cria(["perplexity", "tiny", folder]);
    expect([directory.code, directory.stderr]).toEqual([1, expect.stringContaining("found a directory")]);
    await writeFile(join(folder, "empty.txt"), "");
    const empty = await cria(["perplexity", "tiny", join(folder, "empty.txt")]);
    expect([empty.code, empty.stderr]).toEqual([1, expect.stringContaining("found an empty one")]);
  });
});
