import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { startFileServer } from "../../test/file-server.js";
import { randomCheckpoint, smallConfig } from "../../test/random-model.js";
import {
  checkpointToGguf,
  type GgufTensorData,
  type GgufValue,
  llamaMetadata,
  plainVocabulary,
  tensorData,
  writeGguf,
} from "../../test/write-gguf.js";
import { openSource } from "../api/sources.js";
import { FormatError } from "../errors.js";
import type { Checkpoint } from "./checkpoint.js";
import { openCheckpoint } from "./open.js";

const config = smallConfig({ vocabSize: 320 });
const vocabulary = plainVocabulary(320);
const model = randomCheckpoint({ config, type: "Q8_0", seed: 3 });
const metadata = llamaMetadata(config, vocabulary);
const tensors = await tensorData(model);

const folder = await mkdtemp(join(tmpdir(), "cria-split-"));
afterAll(() => rm(folder, { recursive: true }));

interface PartChanges {
  readonly split?: Record<string, GgufValue>;
  readonly tensors?: readonly GgufTensorData[];
  readonly metadata?: Record<string, GgufValue>;
}

/** Part `no` of three, as gguf-split writes it: all metadata in the first, the tensors in their order. */
function part(no: number, changes: PartChanges = {}): Uint8Array {
  const bounds = [0, 5, 14, tensors.length];
  return writeGguf({
    metadata: {
      ...(no === 0 ? metadata : {}),
      "split.no": { type: "u16", value: no },
      "split.count": { type: "u16", value: 3 },
      "split.tensors.count": { type: "i32", value: tensors.length },
      ...changes.split,
      ...changes.metadata,
    },
    tensors: changes.tensors ?? tensors.slice(bounds[no], bounds[no + 1]),
  });
}

async function writeParts(name: string, parts: readonly (Uint8Array | undefined)[]): Promise<string> {
  for (const [i, bytes] of parts.entries()) {
    if (bytes) await writeFile(join(folder, `${name}-0000${i + 1}-of-00003.gguf`), bytes);
  }
  return join(folder, `${name}-00001-of-00003.gguf`);
}

async function open(from: Parameters<typeof openSource>[0]): Promise<Checkpoint> {
  const source = await openSource(from);
  try {
    return await openCheckpoint(source);
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function expectWhole(opened: Checkpoint): Promise<void> {
  expect(opened.config).toEqual({ ...config, normEps: Math.fround(config.normEps) });
  expect(opened.vocabulary?.tokens).toEqual(vocabulary.tokens);
  expect([...opened.metadata.keys()]).toEqual(Object.keys(metadata));
  expect([...opened.tensors.keys()].sort()).toEqual([...model.tensors.keys()].sort());
  for (const { name, shape, bytes } of tensors) {
    const rows = shape.length === 1 ? 1 : Number(shape[0]);
    expect(Buffer.compare(await opened.readRows(opened.tensors.get(name)!, 0, rows), bytes), name).toBe(0);
  }
  await opened.source.close();
}

const oneFile = await checkpointToGguf(model, vocabulary);
const whole = [0, 1, 2].map((no) => part(no));

describe("a GGUF in parts", () => {
  it("opens as the whole model by the first part's path", async () => {
    const opened = await open(await writeParts("whole", whole));
    expect(opened.source.size).toBe(whole.reduce((sum, { length }) => sum + length, 0));
    await expectWhole(opened);
  });

  it("opens as the whole model from a list of bytes, Blobs and paths", async () => {
    const path = await writeParts("listed", whole);
    await expectWhole(await open(whole));
    await expectWhole(await open([path, new Blob([new Uint8Array(whole[1]!)]), whole[2]!]));
  });

  it("opens by a file URL, with a space in its name", async () => {
    const path = await writeParts("of two words", whole);
    await expectWhole(await open(new URL(`file://${path}`)));
  });

  it("opens by an address on the web, whose server need not be asked twice for a part", async () => {
    const server = await startFileServer();
    for (const [i, bytes] of whole.entries())
      server.files.set(`/my model-0000${i + 1}-of-00003.gguf`, { bytes });
    await expectWhole(await open(`${server.url}/my%20model-00001-of-00003.gguf?x=1`));
    expect(server.requests.length).toBe(3);
    server.files.delete("/my model-00002-of-00003.gguf");
    await expect(open(`${server.url}/my%20model-00001-of-00003.gguf`)).rejects.toThrow(
      /expected part 2 of 3 .*found no .*00002-of-00003/,
    );
    await server.close();
  });

  it.each<[string, readonly (Uint8Array | undefined)[], RegExp]>([
    ["a missing part", [whole[0], undefined, whole[2]], /expected part 2 of 3 .*found no .*00002-of-00003/],
    ["parts in another order", [whole[0], whole[2], whole[1]], /expected part 2 of 3, found part 3 of 3/],
    ["a part twice", [whole[0], whole[1], whole[1]], /expected part 3 of 3, found part 2 of 3/],
    [
      "a part of a model in four",
      [whole[0], part(1, { split: { "split.count": { type: "u16", value: 4 } } }), whole[2]],
      /expected part 2 of 3, found part 2 of 4/,
    ],
    [
      "a part of a model with more tensors",
      [whole[0], part(1, { split: { "split.tensors.count": { type: "i32", value: 99 } } }), whole[2]],
      /split.tensors.count: expected the same as in .*another model's part/,
    ],
    [
      "a part that names another model",
      [whole[0], part(1, { metadata: { "general.name": { type: "string", value: "other" } } }), whole[2]],
      /general.name: expected the same/,
    ],
    [
      "a tensor in two parts",
      [whole[0], part(1, { tensors: tensors.slice(4, 14) }), whole[2]],
      /expected each tensor in one part/,
    ],
    [
      "fewer tensors than announced",
      [whole[0], part(1, { tensors: tensors.slice(6, 14) }), whole[2]],
      /split.tensors.count: expected 21 tensors in the 3 parts, found 20/,
    ],
    [
      "a whole model in place of a part",
      [whole[0], oneFile, whole[2]],
      /expected part 2 of 3, found a file that is no part/,
    ],
    [
      "a second part in place of the first",
      [whole[1], whole[1], whole[2]],
      /expected part 1 of 3, found part 2/,
    ],
    ["no GGUF in place of a part", [whole[0], new Uint8Array(100), whole[2]], /not a GGUF file/],
  ])("%s is a FormatError", async (name, parts, message) => {
    const opening = open(await writeParts(name, parts));
    await expect(opening).rejects.toThrow(FormatError);
    await expect(opening).rejects.toThrow(message);
  });

  it.each<[string, readonly Uint8Array[], RegExp]>([
    ["without the first", [whole[1]!, whole[2]!], /expected part 1 of 3, found part 2 of 3/],
    ["without the last", [whole[0]!, whole[1]!], /expected all of its 3 parts in their order, found 2/],
    ["in another order", [whole[0]!, whole[2]!, whole[1]!], /expected part 2 of 3, found part 3 of 3/],
    ["with one too many", [...whole, whole[2]!], /expected all of its 3 parts in their order, found 4/],
  ])("a list %s is a FormatError", async (_, list, message) => {
    await expect(open(list)).rejects.toThrow(message);
  });

  it("a first part by itself, or by another name, says what is expected", async () => {
    await expect(open(whole[0]!)).rejects.toThrow(/expected it to be called name-00001-of-00003\.gguf/);
    const path = join(folder, "model.gguf");
    await writeFile(path, whole[0]!);
    await expect(open(path)).rejects.toThrow(/expected it to be called name-00001-of-00003\.gguf/);
  });

  it("refuses other sources beside a model in one file", async () => {
    await expect(open([oneFile, oneFile])).rejects.toThrow(/expected a model in one file, found 1 more/);
  });

  it("reads no file of another folder", async () => {
    const source = await openSource(await writeParts("here", whole));
    for (const name of ["../passwd", "a/b", "a\\b", "..", "C:x", ""]) {
      await expect(source.sibling!(name)).rejects.toThrow(/expected the name of a file in the same folder/);
    }
    expect(await source.sibling!("nothing")).toBeUndefined();
    await source.close();
  });
});
