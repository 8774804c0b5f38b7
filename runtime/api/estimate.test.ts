import { describe, expect, it } from "vitest";
import { randomCheckpoint, smallConfig } from "../../test/random-model.js";
import { checkpointToGguf, plainVocabulary } from "../../test/write-gguf.js";
import { OutOfMemoryError } from "../errors.js";
import { openCheckpoint } from "../formats/open.js";
import { bytesSource } from "../formats/source.js";
import { type Estimate, type EstimateOptions, estimate } from "./estimate.js";
import { load } from "./load.js";

const config = smallConfig({ dim: 128, hiddenDim: 512, nLayers: 8, vocabSize: 320, contextLength: 1024 });
const bytes = await checkpointToGguf(
  randomCheckpoint({ config, type: "F32", seed: 3 }),
  plainVocabulary(320),
);
/** F32 weights of eight layers, an embedding and a classifier, with norms; 32 numbers are a head. */
const layerWeights = 128 * (2 * 128 + 2 * 64 + 3 * 512) + 2 * 128;
const weights = 8 * layerWeights + 2 * 320 * 128 + 128;

const without = (options: EstimateOptions): Promise<Estimate> =>
  estimate(bytes, { ...options, speed: false });

describe("estimate()", () => {
  it("counts weights and cache as arithmetic does, and reads the header only", async () => {
    const source = bytesSource(bytes);
    let reads = 0;
    const counting = {
      ...source,
      async read(start: number, end: number) {
        reads++;
        return source.read(start, end);
      },
    };
    await openCheckpoint(counting);
    const ofHeader = reads;
    const found = await estimate(counting, { threads: 2, contextLength: 100, speed: false });
    expect(reads).toBe(2 * ofHeader);
    expect(found.weightsBytes).toBe(4 * weights);
    expect(found.cacheBytes).toBe(8 * 2 * 100 * config.kvDim * 2);
    expect(found).toMatchObject({
      contextLength: 100,
      cacheType: "f16",
      threads: 2,
      fits: true,
      speed: undefined,
    });
    const { weightsBytes, cacheBytes, scratchBytes, totalBytes } = found;
    expect(totalBytes).toBeGreaterThanOrEqual(weightsBytes + cacheBytes + scratchBytes + 65_536);
    expect(totalBytes).toBeLessThan(weightsBytes + cacheBytes + scratchBytes + 2 * 65_536);
    expect(found.stages).toEqual([{ layers: 8, streamedLayers: 0, bytes: totalBytes }]);
  });

  it("tells of shorter contexts and other caches what it tells when asked for them", async () => {
    const { contexts } = await without({});
    expect(contexts.map(({ contextLength, cacheType }) => `${contextLength} ${cacheType}`)).toEqual(
      [1024, 512, 256].flatMap((length) => ["f32", "f16", "q8_0"].map((type) => `${length} ${type}`)),
    );
    for (const { contextLength, cacheType, ...told } of contexts) {
      expect(await without({ contextLength, cacheType })).toMatchObject(told);
    }
  });

  it("says that a model fits when load() takes it, and what would fit when it does not", async () => {
    const { totalBytes } = await without({});
    expect(await without({ memoryLimit: totalBytes })).toMatchObject({ fits: true, wouldFit: [] });
    await (await load(bytes, { memoryLimit: totalBytes })).dispose();
    for (const memoryLimit of [totalBytes - 1, Math.floor(0.8 * totalBytes)]) {
      const { fits, wouldFit } = await without({ memoryLimit });
      expect(fits).toBe(false);
      await expect(load(bytes, { memoryLimit })).rejects.toThrow(OutOfMemoryError);
      expect(wouldFit.length).toBeGreaterThan(0);
      for (const { totalBytes: least, type, quantize, ...changes } of wouldFit) {
        const changed = { ...changes, ...(quantize && { quantize: type }) };
        expect(await without({ memoryLimit: least, ...changed })).toMatchObject({
          fits: true,
          totalBytes: least,
        });
        await (await load(bytes, { memoryLimit: least, ...changed })).dispose();
      }
    }
  });

  it("a model that is quantized while loading is counted as that", async () => {
    const { weightsBytes } = await without({ quantize: "q8_0" });
    expect(weightsBytes).toBeLessThan((4 * weights * 34) / 128 + 30_000);
  });

  it.each([1, 2])("measures with %i threads how fast the model would write", async (threads) => {
    const { speed } = await estimate(bytes, { threads });
    expect(speed!.first).toBeGreaterThan(1);
    expect(speed!.first).toBeLessThan(1e5); // 0.5 MB of weights at 50 GB/s
    expect(speed!.last).toBeGreaterThan(0);
    expect(speed!.last).toBeLessThan(speed!.first);
  });

  it("streamed weights can't be faster than the source gives them", async () => {
    const source = bytesSource(bytes);
    const slow = {
      ...source,
      async read(start: number, end: number) {
        if (end - start > 200_000) await new Promise((resolve) => setTimeout(resolve, 20));
        return source.read(start, end);
      },
    };
    const streaming = { weights: "stream", memoryLimit: 8_000_000 } as const;
    const { speed, stages, readAheadBytes } = await estimate(slow, streaming);
    const { streamedLayers } = stages[0]!;
    expect(streamedLayers).toBeGreaterThan(2);
    expect(readAheadBytes).toBe(4 * layerWeights);
    // a matrix of 262,144 bytes takes 20 ms
    expect(speed!.first).toBeLessThan(1 / ((streamedLayers * 4 * layerWeights * 0.02) / 262_144));
  });

  it.each([
    [{ contextLength: 0 }, TypeError, /expected contextLength to be an integer, 1 or more, found 0/],
    [{ contextLength: 2000 }, RangeError, /at most 1024/],
    [{ cacheType: "q4_0" }, TypeError, /expected cacheType to be f32, f16 or q8_0, found q4_0/],
    [{ memoryLimit: "1GiB" }, TypeError, /expected memoryLimit to be an integer/],
    [{ quantize: "q2_k" }, TypeError, /expected quantize to be q8_0 or q4_0, found q2_k/],
    [{ onProgress: () => {} }, TypeError, /found "onProgress"/],
  ] as const)("refuses %o", async (options, kind, message) => {
    const wrong = estimate(bytes, options as EstimateOptions);
    await expect(wrong).rejects.toThrow(kind);
    await expect(wrong).rejects.toThrow(message);
  });
});
