import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterEach, describe, expect, it, vi } from "vitest";
import { randomCheckpoint, smallConfig } from "../../test/random-model.js";
import { checkpointToGguf, plainVocabulary } from "../../test/write-gguf.js";
import { OutOfMemoryError } from "../errors.js";
import { openCheckpoint } from "../formats/open.js";
import { bytesSource } from "../formats/source.js";
import { planModel } from "../memory/plan.js";
import { PAGE_BYTES } from "../memory/slots.js";
import { loadLlama } from "../model/llama.js";
import { load, loadInThread } from "./load.js";
import type { Model } from "./model.js";

const config = smallConfig({ dim: 128, hiddenDim: 512, nLayers: 8, vocabSize: 320, contextLength: 300 });
const bytes = await checkpointToGguf(
  randomCheckpoint({ config, type: "F32", seed: 3 }),
  plainVocabulary(320),
);
const checkpoint = await openCheckpoint(bytesSource(bytes));
const whole = planModel(checkpoint, { contextLength: 300 }).totalBytes;
const least = planModel(checkpoint, { contextLength: 300, streamedLayers: 8 }).totalBytes;
/** Longer than a pass over streamed weights takes at once. */
const ids = Array.from({ length: 280 }, (_, i) => (i * 37 + 1) % 320);

/** The model as a source that tells how often it is read and whether it is closed. */
function countingSource() {
  const source = bytesSource(bytes, "model.gguf");
  const counts = { reads: 0, closed: 0 };
  return {
    counts,
    source: {
      ...source,
      async read(start: number, end: number) {
        counts.reads++;
        return source.read(start, end);
      },
      async close() {
        counts.closed++;
      },
    },
  };
}

async function logitsOf(model: Model): Promise<number[]> {
  const found: number[] = [];
  for await (const logits of model.logits(ids, { from: 270 })) found.push(...logits);
  return found;
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe("load() with memoryLimit", () => {
  it("refuses a model that is larger before any weights are read, with what would fit", async () => {
    const { source, counts } = countingSource();
    const header = countingSource();
    await openCheckpoint(header.source);
    await expect(load(source, { memoryLimit: whole - 1 })).rejects.toThrow(OutOfMemoryError);
    expect(counts).toEqual({ reads: header.counts.reads, closed: 1 });
    await expect(load(source, { memoryLimit: whole - 1 })).rejects.toThrow(
      /^Cannot load model\.gguf: expected [\d,]+ bytes of memory .* found [\d,]+ that it may take; it would fit with a context of 256 .*weights quantized to q8_0 .*streamed weights/,
    );
  });

  it("loads what it has room for, and the least that it says", async () => {
    await using model = await load(bytes, { memoryLimit: whole });
    expect(model.contextLength).toBe(300);
    await using short = await load(bytes, { memoryLimit: whole - 1, contextLength: 256 });
    expect(short.contextLength).toBe(256);
  });

  it.each([0, -1, 1.5, Number.NaN, "2GiB"])("refuses a limit of %s", async (memoryLimit) => {
    await expect(load(bytes, { memoryLimit: memoryLimit as number })).rejects.toThrow(
      /^Cannot load: expected memoryLimit to be an integer, 1 or more, found /,
    );
  });
});

describe('load() with weights: "stream"', () => {
  it.each([
    { how: "load()", load },
    { how: "loadInThread()", load: loadInThread },
  ])("of $how reads on when the loading's signal is aborted later", async ({ load }) => {
    const { source } = countingSource();
    const controller = new AbortController();
    const { signal } = controller;
    await using model = await load(source, { weights: "stream", memoryLimit: least, signal });
    controller.abort();
    expect((await model.generate([5, 6], { maxTokens: 3, temperature: 0 })).tokens.length).toBe(3);
  });

  it("gives the same bits from as little memory as the plan says, and closes the source when it is disposed of", async () => {
    await using resident = await load(bytes);
    const expected = await logitsOf(resident);
    for (const memoryLimit of [least, (least + whole) >> 1, whole]) {
      const { source, counts } = countingSource();
      const model = await load(source, { weights: "stream", memoryLimit, threads: 1 });
      const loading = counts.reads;
      expect(await logitsOf(model)).toEqual(expected);
      expect(counts.reads > loading).toBe(memoryLimit < whole);
      expect(counts.closed).toBe(memoryLimit < whole ? 0 : 1);
      const { tokens } = await model.generate([1], { maxTokens: 4, temperature: 0 });
      expect(tokens).toEqual((await resident.generate([1], { maxTokens: 4, temperature: 0 })).tokens);
      await model.dispose();
      expect(counts.closed).toBe(1);
    }
  });

  it("refuses what streaming does not make small enough", async () => {
    await expect(load(bytes, { weights: "stream", memoryLimit: least - 1 })).rejects.toThrow(/, read ahead /);
  });

  it("an abort ends a pass between two layers, and the model goes on after it", async () => {
    await using model = await load(bytes, { weights: "stream", memoryLimit: least, threads: 1 });
    const before = await model.generate(ids, { maxTokens: 2, temperature: 0 });
    const controller = new AbortController();
    const slow = model.generate(ids, { maxTokens: 2, temperature: 0, signal: controller.signal });
    const ended = slow.then(
      () => "finished",
      (reason) => reason,
    );
    setTimeout(() => controller.abort("enough"));
    expect(await ended).toBe("enough");
    expect((await model.generate(ids, { maxTokens: 2, temperature: 0 })).tokens).toEqual(before.tokens);
  });

  it("is not chosen without being asked for", async () => {
    await expect(load(bytes, { memoryLimit: least })).rejects.toThrow(OutOfMemoryError);
    await expect(load(bytes, { weights: "disk" as "stream" })).rejects.toThrow(
      "Cannot load: expected weights to be resident or stream, found disk",
    );
  });
});

describe("a memory that the engine refuses", () => {
  it("is an OutOfMemoryError with what was needed, and a second load works", async () => {
    const { Memory } = WebAssembly;
    const options = { contextLength: 64, maxStageBytes: 90 * PAGE_BYTES };
    let granted = 0;
    vi.spyOn(WebAssembly, "Memory").mockImplementation(function memory(
      descriptor: WebAssembly.MemoryDescriptor,
    ) {
      // smaller ones are for trying the kernels
      if (descriptor.initial > 20 && ++granted === 2)
        throw new RangeError("WebAssembly.Memory(): could not allocate memory");
      return new Memory(descriptor);
    } as unknown as typeof WebAssembly.Memory);
    await expect(loadLlama(checkpoint, options)).rejects.toThrow(
      /^Cannot allocate stage 2 of \d: expected [\d,]+ bytes of memory, the engine refused; [\d,]+ were granted before/,
    );
    const llama = await loadLlama(checkpoint, options);
    expect(llama.stages.length).toBeGreaterThan(1);
  });

  // a process whose address space is limited: each memory of the engine reserves some gigabytes of it
  it.skipIf(process.platform !== "linux")(
    "in a process that has no more room, while another model lives on and a smaller plan loads",
    async () => {
      const printed = await runWithin(
        36_000_000,
        `const other = await loadInThread("tiny");
        const checkpoint = await openCheckpoint(await fileSource(tiny));
        const plan = { contextLength: 256, maxStageBytes: 2_200_000, batch: 8 };
        for (let i = 0; i < 2; i++) {
          await loadLlama(checkpoint, plan).then(
            ({ stages }) => console.log("loaded", stages.length),
            (error) => console.log(error.name, error.message));
        }
        const { tokens } = await other.generate("Once", { maxTokens: 4, temperature: 0 });
        console.log(tokens.length, (await loadLlama(checkpoint, { contextLength: 256 })).stages.length);`,
      );
      expect(printed).toMatch(/^(OutOfMemoryError Cannot allocate stage \d of \d: .*\n){2}4 1\n$/);
    },
  );
});

/** What a program prints, with what it needs imported from the build, in a process with so many KiB of addresses. */
async function runWithin(addressKiB: number, program: string): Promise<string> {
  const url = (path: string) => JSON.stringify(new URL(`../../dist/${path}`, import.meta.url));
  const script = `import { loadInThread } from ${url("runtime/index.js")};
    import { openCheckpoint } from ${url("runtime/formats/open.js")};
    import { fileSource } from ${url("runtime/formats/source.js")};
    import { loadLlama } from ${url("runtime/model/llama.js")};
    const tiny = new URL(${url("models/tiny.gguf")});
    ${program}`;
  const limited = ["-c", `ulimit -v ${addressKiB}; exec "$0" "$@"`, process.execPath];
  const { stdout } = await promisify(execFile)(
    "/bin/sh",
    [...limited, "--input-type=module", "--eval", script],
    { timeout: 25_000 },
  );
  return stdout;
}
