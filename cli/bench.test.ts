import { join } from "node:path";
import { afterAll, describe, expect, it, vi } from "vitest";
import type { Model } from "../runtime/index.js";
import { cria, criaInProcess, makeModels } from "../test/cria-program.js";
import { meanAndDeviation, promptTest, writingTest } from "./speed-tests.js";

const models = await makeModels();
afterAll(() => models.remove());

/**
 * The bundled model by its card: 3,410,176 weights, all of which are read (the embedding is the classifier); nine norms of 256 are
 * F32, the rest Q8_0; 4 layers, 2 kv heads of 64.
 */
const norms = 9 * 256;
const tiny = { weights: 4 * norms + ((3_410_176 - norms) * 34) / 32, layers: 4, kvDim: 128 };

async function benchJson(...args: string[]) {
  const { code, stdout } = await criaInProcess(["bench", ...args, "-o", "json"]);
  expect(code).toBe(0);
  return JSON.parse(stdout);
}

describe("cria bench", () => {
  it("writes one JSON object: the model, what computed it, and a result for each test and number of threads", async () => {
    const report = await benchJson("tiny", "-p", "16", "-n", "8", "-t", "1,1", "-r", "3", "--build", "simd");
    expect(report).toMatchObject({ model: "tiny", build: "simd", layout: "q8_0", parameters: 3_410_176 });
    expect(report.results.map(({ test }: { test: string }) => test)).toEqual(["pp16", "tg8", "pp16", "tg8"]);
    for (const { threads, tokensPerSecond, stddev, samples } of report.results) {
      expect(threads).toBe(1);
      expect(samples).toHaveLength(3);
      // the textbook's formulas
      const mean = (samples[0] + samples[1] + samples[2]) / 3;
      const squares = samples.map((x: number) => (x - mean) ** 2);
      expect(tokensPerSecond).toBeCloseTo(mean, 6);
      expect(stddev).toBeCloseTo(Math.sqrt((squares[0] + squares[1] + squares[2]) / 2), 6);
    }
  });

  it("counts the bytes that a test has to read: weights once a token or a prompt, the cache so far", async () => {
    const { results, cacheType, bytes } = await benchJson(
      ..."tiny -p 16 -n 4 --depth 100 -r 1 --cache f32".split(" "),
    );
    const [prompt, writing] = results;
    expect([prompt.test, writing.test, cacheType]).toEqual(["pp16", "tg4 @ d100", "f32"]);
    expect(bytes).toBe(3_726_176);
    expect(prompt.gigabytesPerSecond).toBeCloseTo((tiny.weights / 16) * (prompt.tokensPerSecond / 1e9), 6);
    // passes at positions 100 to 103 read 101 to 104 positions, 102.5 in the mean
    const cache = 102.5 * tiny.layers * 2 * tiny.kvDim * 4;
    expect(writing.gigabytesPerSecond).toBeCloseTo(
      (tiny.weights + cache) * (writing.tokensPerSecond / 1e9),
      6,
    );
  });

  it("writes a Markdown table and the machine, or CSV", async () => {
    const args = ["bench", "tiny", "-p", "8", "-n", "2", "-r", "1"];
    const md = (await cria(args)).stdout.split("\n");
    expect(md[0]).toMatch(/^\| model +\| +bytes +\| .* \| test +\| +tokens\/s \| +GB\/s \|$/);
    expect(md[1]).toMatch(/^\|( -+:? \|)+$/);
    expect(md[2]).toMatch(/^\| tiny .* \| pp8 +\| +[\d.]+ ± 0.00 \| +[\d.]+ \|$/);
    expect(md[3]).toMatch(/\| tg2 /);
    expect(md[5]).toContain(`Node ${process.versions.node}`);
    expect(new Set(md.slice(0, 4).map((line) => line.length)).size).toBe(1);

    const csv = (await criaInProcess([...args, "-o", "csv"])).stdout.trimEnd().split("\n");
    expect(csv).toHaveLength(3);
    expect(csv[0]).toMatch(/^model,bytes,.*,test,tokensPerSecond,stddev,gigabytesPerSecond$/);
    for (const line of csv) expect(line.split(",")).toHaveLength(11);
  });

  it("tests what the model's context holds, where nothing else is asked for", async () => {
    const { results } = await benchJson(models.model, "-r", "1");
    expect(results.map(({ test }: { test: string }) => test)).toEqual(["pp64", "tg63"]);
  });

  it("leaves out a test of no tokens", async () => {
    const { results } = await benchJson("tiny", "-p", "0", "-n", "2", "-r", "1");
    expect(results.map(({ test }: { test: string }) => test)).toEqual(["tg2"]);
  });

  it("says what a file lacks that does not run", async () => {
    const { code, stderr } = await criaInProcess(["bench", join(models.path, "none.gguf")]);
    expect([code, stderr]).toEqual([1, expect.stringContaining("none.gguf")]);
  });
});

/** A model that takes `msPerToken` a token and ends every text after `length` of them; the clock is its own. */
function fakeModel(length: number, msPerToken: number): Pick<Model, "config" | "generate"> {
  let now = 0;
  vi.spyOn(performance, "now").mockImplementation(() => now);
  return {
    config: { vocabSize: 100 } as Model["config"],
    generate: (_, { maxTokens = Number.POSITIVE_INFINITY } = {}) => {
      async function* parts() {
        for (let i = 0; i < Math.min(length, maxTokens); i++) {
          now += msPerToken;
          yield { text: "", token: 1 };
        }
      }
      return Object.assign(parts(), {
        // biome-ignore lint/suspicious/noThenProperty: a generation can be awaited
        then: async (resolve: (value: never) => void) => {
          for await (const _ of parts());
          resolve(undefined as never);
        },
      }) as unknown as ReturnType<Model["generate"]>;
    },
  };
}

describe("the tests of cria bench", () => {
  afterAll(() => vi.restoreAllMocks());

  it("time one pass for each written token, over as many texts as that takes", async () => {
    for (const [length, passes] of [
      [1000, 128],
      [5, 128],
      [2, 3],
    ] as const) {
      const run = await writingTest(passes, 0).time(fakeModel(length, 10) as Model, 0);
      // the first token of each text comes from its prompt
      expect(run.seconds).toBeCloseTo(passes * 0.01, 9);
      expect(run.weightReads).toBe(passes);
    }
  });

  it("count the positions that each pass reads", async () => {
    const at10 = await writingTest(3, 10).time(fakeModel(1000, 1) as Model, 0);
    expect(at10.cacheReads).toBe(11 + 12 + 13);
    const inTwoTexts = await writingTest(4, 10).time(fakeModel(3, 1) as Model, 0);
    expect(inTwoTexts.cacheReads).toBe(11 + 12 + 11 + 12);
  });

  it("time a prompt up to its first token", async () => {
    const run = await promptTest(20).time(fakeModel(1000, 7) as Model, 0);
    expect(run.seconds).toBeCloseTo(0.007, 9);
  });

  it("give up on a model that writes nothing", async () => {
    await expect(writingTest(4, 0).time(fakeModel(1, 1) as Model, 0)).rejects.toThrow(
      "found 32 that ended before",
    );
  });

  it("know the deviation of one value to be 0", () => {
    expect(meanAndDeviation([3])).toEqual({ mean: 3, deviation: 0 });
  });
});
