import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { criaInProcess, makeModels, vocabulary } from "../test/cria-program.js";
import { randomCheckpoint, smallConfig } from "../test/random-model.js";
import { checkpointToGguf } from "../test/write-gguf.js";

const models = await makeModels();
afterAll(() => models.remove());

const json = async (...args: string[]) => {
  const { code, stdout } = await criaInProcess(["inspect", models.slow, "--fit", "--json", ...args]);
  expect(code).toBe(0);
  return JSON.parse(stdout);
};

describe("cria inspect --fit", () => {
  it("writes what loading takes as one JSON object, with the options of cria run", async () => {
    const found = await json("--context", "1000", "--cache", "q8_0", "--threads", "1", "--memory", "1GiB");
    expect(Object.keys(found)).toEqual([
      "contextLength",
      "cacheType",
      "threads",
      "weightsBytes",
      "cacheBytes",
      "scratchBytes",
      "readAheadBytes",
      "totalBytes",
      "stages",
      "contexts",
      "memoryLimit",
      "fits",
      "wouldFit",
      "speed",
    ]);
    expect(found).toMatchObject({ contextLength: 1000, cacheType: "q8_0", threads: 1, fits: true });
    expect(found.memoryLimit).toBe(2 ** 30);
    expect(found.cacheBytes).toBe(6 * 2 * 1000 * 2 * 36); // two heads of 32 in int8, and a scale in f32
    expect(found.speed.first).toBeGreaterThan(found.speed.last);
  });

  it("shows people whether it fits, and the options with which it would", async () => {
    const { totalBytes } = await json();
    const fits = await criaInProcess(["inspect", models.slow, "--fit", "--memory", String(totalBytes)]);
    expect(fits.stdout).toMatch(/ bytes of memory for a context of 4,096, a cache of f16 and \d+ threads\n/);
    expect(fits.stdout).toMatch(/\nfits: it may take [\d,]+\nwrites about [\d.,]+ tokens\/s at first, /);
    const { stdout } = await criaInProcess([
      "inspect",
      models.slow,
      "--fit",
      "--memory",
      String(totalBytes - 1),
    ]);
    expect(stdout).toMatch(
      /\ndoes not fit: it may take [\d,]+; it would with\n {2}--context 40\d\d +[\d,]+\n {2}--cache q8_0 /,
    );
  });

  it.each([
    [["--memory", "2GB"], /--memory: expected a number of bytes, such as .*1\.5GiB, found "2GB"/],
    [["--memory", "0"], /--memory: expected a number of bytes/],
    [["--memory", "1.5"], /--memory: expected a number of bytes/],
    [["--memory", "99999999999GiB"], /--memory: expected a number of bytes/],
    [["--weights", "disk"], /--weights: expected resident or stream, found "disk"/],
    [["--quantize", "q2_k"], /--quantize: expected q8_0 or q4_0, found "q2_k"/],
  ])("refuses %j", async (args, message) => {
    const { code, stderr } = await criaInProcess(["inspect", models.slow, "--fit", ...args]);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });

  it("takes its options only where they mean something", async () => {
    const { code, stderr } = await criaInProcess(["inspect", models.slow, "--context", "100"]);
    expect([code, stderr]).toEqual([
      2,
      expect.stringContaining("--context: expected it with --fit, found it alone"),
    ]);
  });
});

describe("cria run --memory", () => {
  it("refuses a model that is larger, and streams it when asked to: the same tokens", async () => {
    const config = smallConfig({ dim: 128, hiddenDim: 512, nLayers: 8, vocabSize: 320 });
    const path = join(models.path, "layers.gguf");
    await writeFile(
      path,
      await checkpointToGguf(randomCheckpoint({ config, type: "F32", seed: 2 }), vocabulary),
    );
    const run = (...args: string[]) =>
      criaInProcess([
        "run",
        path,
        "--prompt-tokens",
        "5",
        "-n",
        "5",
        "--temperature",
        "0",
        "--json",
        ...args,
      ]);
    const estimateOf = async (...args: string[]) =>
      JSON.parse((await criaInProcess(["inspect", path, "--fit", "--json", ...args])).stdout);

    const { totalBytes } = await estimateOf();
    const resident = await run("--memory", String(totalBytes));
    const refused = await run("--memory", String(totalBytes - 1));
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(
      /expected [\d,]+ bytes of memory .* found [\d,]+ that it may take; it would fit with/,
    );
    const limit = ["--memory", "6MiB", "--weights", "stream"];
    const { fits, stages } = await estimateOf(...limit);
    expect(fits).toBe(true);
    expect(stages[0].streamedLayers).toBeGreaterThan(1);
    expect(stages[0].streamedLayers).toBeLessThan(8);
    const streamed = await run(...limit);
    expect(JSON.parse(streamed.stdout).tokens).toEqual(JSON.parse(resident.stdout).tokens);
  });

  it("quantizes while loading when asked to", async () => {
    const { stdout } = await criaInProcess(["run", models.model, "-n", "1", "--json", "--quantize", "q8_0"]);
    expect(JSON.parse(stdout).layout).toContain("q8_0");
  });
});
