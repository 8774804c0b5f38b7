import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { maxError } from "../../test/kernel-lab.js";
import { jsonBytes } from "../../test/write-safetensors.js";
import { writeZip } from "../../test/write-zip.js";
import { openSource } from "../api/sources.js";
import { FormatError, ModelError, UnsupportedError } from "../errors.js";
import { forward } from "../model/forward.js";
import { loadLlama } from "../model/llama.js";
import type { Checkpoint } from "./checkpoint.js";
import { openCheckpoint } from "./open.js";
import { bytesSource } from "./source.js";
import { locateZipEntry, readZipDirectory } from "./zip.js";

// made by PyTorch: see make.py there
const folder = fileURLToPath(new URL("../../test/meta-release/", import.meta.url));
const read = (name: string) => new Uint8Array(readFileSync(folder + name));
const params = JSON.parse(readFileSync(`${folder}params.json`, "utf8")) as Record<string, unknown>;
const golden = JSON.parse(readFileSync(`${folder}logits.json`, "utf8")) as {
  ids: number[];
  logits: number[][];
};

const shards = {
  "consolidated.00.pth": read("consolidated.00.pth"),
  "consolidated.01.pth": read("consolidated.01.pth"),
};

/** The release as a list of files, with changes. */
async function openWith(
  files: Record<string, Uint8Array>,
  changes: Record<string, unknown> = {},
): Promise<Checkpoint> {
  const all = { "params.json": jsonBytes({ ...params, ...changes }), ...files };
  const list = Object.entries(all).map(([name, bytes]) => new File([new Uint8Array(bytes)], name));
  return openCheckpoint(await openSource(list));
}

async function logitsOf(checkpoint: Checkpoint): Promise<Float32Array> {
  const llama = await loadLlama(checkpoint, { contextLength: 16, cacheType: "f32" });
  return forward(llama, golden.ids, 0, { logitsFrom: 0 }).slice();
}

/** The first shard with its pickle changed. */
async function withPickle(change: (pickle: Uint8Array) => Uint8Array): Promise<Uint8Array> {
  const source = bytesSource(shards["consolidated.00.pth"]);
  const files = [];
  for (const entry of (await readZipDirectory(source)).values()) {
    const { offset, bytes } = await locateZipEntry(source, entry);
    const contents = await source.read(offset, offset + bytes);
    files.push({ name: entry.name, bytes: entry.name.endsWith("data.pkl") ? change(contents) : contents });
  }
  return writeZip(files);
}

const replaced = (from: string, to: string) => (bytes: Uint8Array) =>
  Uint8Array.from(Buffer.from(Buffer.from(bytes).toString("latin1").replaceAll(from, to), "latin1"));

describe("Meta's release, in two shards that PyTorch wrote", () => {
  it("has the logits that float64 in PyTorch has, within 1e-5", async () => {
    for (const path of [folder, `${folder}params.json`, `${folder}consolidated.01.pth`]) {
      const source = await openSource(path);
      const checkpoint = await openCheckpoint(source);
      expect(checkpoint.format).toBe("Meta's PyTorch files, in 2 shards");
      expect(maxError(await logitsOf(checkpoint), golden.logits.flat())).toBeLessThan(1e-5);
      await source.close();
    }
  });

  it("opens from a list of files, with the config that params.json and the tensors give", async () => {
    const { config, special } = await openWith(shards);
    expect(config).toMatchObject({
      dim: 16,
      hiddenDim: 24,
      nHeads: 4,
      nKvHeads: 2,
      vocabSize: 20,
      contextLength: 4096,
    });
    expect(special).toEqual({ bos: 1, eos: 2 });
  });

  it("gives any range of rows as those of the whole", async () => {
    const checkpoint = await openWith(shards);
    for (const tensor of checkpoint.tensors.values()) {
      const rows = tensor.shape.length === 1 ? 1 : tensor.shape[0]!;
      const whole = await checkpoint.readRows(tensor, 0, rows);
      const stride = whole.length / rows;
      for (let begin = 0; begin <= rows; begin++) {
        for (let end = begin; end <= rows; end++) {
          const found = await checkpoint.readRows(tensor, begin, end);
          expect(Buffer.compare(found, whole.subarray(begin * stride, end * stride))).toBe(0);
        }
      }
      await expect(checkpoint.readRows(tensor, 0, rows + 1)).rejects.toThrow(RangeError);
    }
  });

  it.each<[string, Record<string, unknown>, typeof ModelError, RegExp]>([
    ["another width", { dim: 32 }, ModelError, /expected \[20, 32\], found/],
    [
      "other heads",
      { n_kv_heads: 4 },
      ModelError,
      /attention.wk.weight: expected \[16, 16\], found \[8, 16\]/,
    ],
    [
      "heads that do not divide the width",
      { n_heads: 3, n_kv_heads: 3 },
      ModelError,
      /a multiple of the 3 heads/,
    ],
    ["more layers", { n_layers: 3 }, ModelError, /layers.2.*no such tensor/],
    ["fewer layers", { n_layers: 1 }, UnsupportedError, /layers.1.*has no such tensor/],
    ["another vocabulary", { vocab_size: 21 }, ModelError, /expected \[21, 16\], found \[20, 16\]/],
    [
      "scaled RoPE",
      { use_scaled_rope: true },
      UnsupportedError,
      /use_scaled_rope: this key is not known here/,
    ],
    ["no epsilon", { norm_eps: undefined }, ModelError, /norm_eps: expected a number/],
    ["layers in quotes", { n_layers: "2" }, ModelError, /n_layers: expected an integer, found "2"/],
  ])("params.json with %s is refused by name", async (_, changes, type, message) => {
    await expect(openWith(shards, changes)).rejects.toThrow(type);
    await expect(openWith(shards, changes)).rejects.toThrow(message);
  });

  it("says which file is missing", async () => {
    const [first] = Object.values(shards);
    await expect(openWith({})).rejects.toThrow(/expected consolidated.00.pth beside it, found none/);
    await expect(openWith({ "consolidated.00.pth": first! })).rejects.toThrow(ModelError); // half of each matrix
    await expect(openCheckpoint(bytesSource(first!, "consolidated.00.pth"))).rejects.toThrow(
      /expected a params.json beside it, found none/,
    );
  });

  it("refuses shards that do not go together", async () => {
    const other = await withPickle(replaced("layers.1", "layers.9"));
    const files = { ...shards, "consolidated.01.pth": other };
    await expect(openWith(files)).rejects.toThrow(FormatError);
    await expect(openWith(files)).rejects.toThrow(
      /consolidated.01.pth: layers.1.*as in consolidated.00.pth, found none/,
    );
  });

  it("runs nothing that a pickle names", async () => {
    const evil = await withPickle(replaced("ccollections\nOrderedDict\n", "cos\nsystem\n"));
    const opening = openWith({ ...shards, "consolidated.00.pth": evil });
    await expect(opening).rejects.toThrow(FormatError);
    await expect(opening).rejects.toThrow(/found one that would run "os.system"; nothing was run/);
  });

  it.each([
    [
      "another type of weights",
      replaced("BFloat16Storage", "DoubleStorage"),
      /weights of type "Double" are not supported/,
    ],
    ["a type of other size", replaced("BFloat16Storage", "FloatStorage"), /bytes in its storage, found/],
    [
      "rows that are not one after the other",
      replaced("K\x14K\x08\x86", "K\x08K\x14\x86"),
      /expected rows one after the other/,
    ],
    [
      "a storage that is not there",
      replaced("X\x02\0\0\x0010", "X\x02\0\0\x0099"),
      /expected its storage "99" in the archive/,
    ],
  ])("refuses a shard with %s", async (_, change, message) => {
    await expect(openWith({ ...shards, "consolidated.00.pth": await withPickle(change) })).rejects.toThrow(
      message,
    );
  });

  it("is one of our errors when a shard is cut, wherever", async () => {
    const whole = shards["consolidated.00.pth"];
    for (let end = 0; end < whole.length; end += 97) {
      await expect(openWith({ ...shards, "consolidated.00.pth": whole.slice(0, end) })).rejects.toThrow(
        FormatError,
      );
    }
  });
});
