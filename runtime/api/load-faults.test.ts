// Whatever goes wrong while a model is loaded, and at whatever byte: the right error, and nothing stays behind.

import { readdirSync } from "node:fs";
import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type FileServer, startFileServer } from "../../test/file-server.js";
import { randomCheckpoint, smallConfig } from "../../test/random-model.js";
import { checkpointToGguf, plainVocabulary } from "../../test/write-gguf.js";
import { FormatError, NetworkError, OutOfMemoryError } from "../errors.js";
import { bytesSource, fileSource, type OwnSource } from "../formats/source.js";
import { type LoadOptions, load, loadInThread } from "./load.js";

// some 5 MB: well beyond the first megabyte, which is read for the header
const config = smallConfig({ vocabSize: 320, dim: 128, hiddenDim: 512, nLayers: 5 });
const gguf = await checkpointToGguf(randomCheckpoint({ config, type: "F32", seed: 5 }), plainVocabulary(320));
const anyByte = fc.nat(gguf.length - 1);

let folder: string;
let path: string;
let server: FileServer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cria-faults-"));
  path = join(folder, "model.gguf");
  await writeFile(path, gguf);
  server = await startFileServer();
});
afterEach(() => {
  server.faults.length = 0;
});
afterAll(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

/** A source that does something when a byte is about to be read. */
function watched(byte: number, act: () => void): OwnSource {
  const { name, size, read } = bytesSource(gguf, "watched");
  return {
    name,
    size,
    async read(start, end) {
      if (start <= byte && byte < end) act();
      return read(start, end);
    },
  };
}

/** What this process has open, its sockets apart: those that fetch may use again stay for some seconds. */
function openFiles(): string[] {
  return readdirSync("/proc/self/fd");
}

function runningThreads(): number {
  return readdirSync("/proc/self/task").length;
}

describe.each([
  { how: "load()", threads: 2, load },
  { how: "loadInThread()", threads: 1, load: loadInThread },
  { how: "loadInThread()", threads: 2, load: loadInThread },
])("$how with $threads threads", ({ threads, load }) => {
  const options: LoadOptions = { threads, contextLength: 16 };

  async function textNow(): Promise<string> {
    const model = await load(gguf, options);
    const { text } = await model.generate("ab c", { temperature: 0, maxTokens: 5 });
    await model.dispose();
    return text;
  }

  /** Loads fail, each at a byte of its own, with what is expected; then a load works, and there is no more than before. */
  async function expectFailures(
    failAt: (byte: number) => Promise<void>,
    { bytes = anyByte, runs = 6 }: { readonly bytes?: fc.Arbitrary<number>; readonly runs?: number } = {},
  ): Promise<void> {
    const text = await textNow();
    await failAt(gguf.length >> 1); // whatever is made once is there then
    const before = { threads: runningThreads(), files: openFiles().length };
    await fc.assert(fc.asyncProperty(bytes, failAt), { numRuns: runs });
    await expect.poll(runningThreads, { timeout: 10_000 }).toBeLessThanOrEqual(before.threads);
    await expect.poll(() => openFiles().length, { timeout: 10_000 }).toBeLessThanOrEqual(before.files);
    expect(await textNow()).toBe(text);
  }

  it("whose source fails at some byte rejects with what that says", async () => {
    await expectFailures(async (byte) => {
      const reason = Object.assign(new Error("EIO: i/o error, read"), { code: "EIO" });
      const source = watched(byte, () => {
        throw reason;
      });
      await expect(load(source, options)).rejects.toBe(reason);
    });
  });

  it("of a file that is cut at some byte is a FormatError", async () => {
    await expectFailures(async (byte) => {
      await writeFile(path, gguf.subarray(0, byte));
      await expect(load(path, options)).rejects.toThrow(FormatError);
    });
  });

  it("of a file that is cut at some byte while it is read is a FormatError", async () => {
    const firstHalf = fc.nat(gguf.length >> 1);
    await expectFailures(
      async (byte) => {
        await writeFile(path, gguf);
        let cut: Promise<void> | undefined;
        const file = await fileSource(path);
        const source: OwnSource = {
          ...file,
          async read(start, end) {
            if (start > gguf.length >> 1) cut ??= truncate(path, byte);
            await cut;
            return file.read(start, end);
          },
        };
        await expect(load(source, options)).rejects.toThrow(/expected bytes .*, the file now ends at/);
      },
      { bytes: firstHalf },
    );
  });

  it("that is aborted at some byte rejects with the signal's reason", async () => {
    await expectFailures(async (byte) => {
      const controller = new AbortController();
      const reason = new Error("enough");
      const source = watched(byte, () => controller.abort(reason));
      await expect(load(source, { ...options, signal: controller.signal })).rejects.toBe(reason);
    });
  });

  it("whose source never answers at some byte ends with the signal", async () => {
    await expectFailures(
      async (byte) => {
        const source = watched(byte, () => {});
        const hanging: OwnSource = {
          ...source,
          read: (start, end) =>
            start <= byte && byte < end ? new Promise(() => {}) : source.read(start, end),
        };
        const signal = AbortSignal.timeout(20);
        await expect(load(hanging, { ...options, signal })).rejects.toThrow(/timeout/);
      },
      { runs: 3 },
    );
  });

  it("whose connection drops at some byte for good is a NetworkError", async () => {
    server.files.set("/model.gguf", { bytes: gguf });
    await expectFailures(async (byte) => {
      server.faults.splice(0, Infinity, { dropAfter: byte }, { status: 404 });
      await expect(load(`${server.url}/model.gguf`, options)).rejects.toThrow(NetworkError);
    });
  });

  it("whose connection drops at some byte, and is made again, works", async () => {
    server.files.set("/model.gguf", { bytes: gguf });
    const text = await textNow();
    const run = async (byte: number) => {
      server.faults.splice(0, Infinity, { dropAfter: byte });
      const model = await load(`${server.url}/model.gguf`, options);
      const generation = await model.generate("ab c", { temperature: 0, maxTokens: 5 });
      expect(generation.text).toBe(text);
      await model.dispose();
    };
    await fc.assert(fc.asyncProperty(anyByte, run), { numRuns: 3 });
  });

  // of a worker the memory can't be refused from here
  it.skipIf(load !== loadInThread)("for which there is no memory is an OutOfMemoryError", async () => {
    await expectFailures(
      async () => {
        const { Memory } = WebAssembly;
        WebAssembly.Memory = class {
          constructor() {
            throw new RangeError("WebAssembly.Memory(): could not allocate memory");
          }
        } as never;
        try {
          await expect(load(gguf, options)).rejects.toThrow(OutOfMemoryError);
        } finally {
          WebAssembly.Memory = Memory;
        }
      },
      { runs: 3 },
    );
  });
});
