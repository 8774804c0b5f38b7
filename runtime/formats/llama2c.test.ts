import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sharedData } from "../../test/shared-data.js";
import { FormatError } from "../errors.js";
import type { Checkpoint, TensorInfo } from "./checkpoint.js";
import { openCheckpoint } from "./open.js";
import { bytesSource, fileSource } from "./source.js";

/** The seven numbers of a header. */
interface Sizes {
  readonly dim: number;
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocab: number;
  readonly context: number;
}

const sizes: Sizes = { dim: 8, hidden: 12, layers: 2, heads: 2, kvHeads: 1, vocab: 5, context: 6 };

/** One tensor of one layer: its name here, and its shape. */
type Entry = readonly [name: string, ...shape: number[]];

function ofEachLayer({ layers }: Sizes, name: string, ...shape: number[]): Entry[] {
  return Array.from({ length: layers }, (_, i) => [`blk.${i}.${name}.weight`, ...shape]);
}

/** What version 0 holds, in order (legacy_export in llama2.c's export.py); "-" is RoPE's tables. */
function legacyOrder(s: Sizes, tied: boolean): Entry[] {
  const kvDim = (s.dim / s.heads) * s.kvHeads;
  return [
    ["token_embd.weight", s.vocab, s.dim],
    ...ofEachLayer(s, "attn_norm", s.dim),
    ...ofEachLayer(s, "attn_q", s.dim, s.dim),
    ...ofEachLayer(s, "attn_k", kvDim, s.dim),
    ...ofEachLayer(s, "attn_v", kvDim, s.dim),
    ...ofEachLayer(s, "attn_output", s.dim, s.dim),
    ...ofEachLayer(s, "ffn_norm", s.dim),
    ...ofEachLayer(s, "ffn_gate", s.hidden, s.dim), // w1
    ...ofEachLayer(s, "ffn_down", s.dim, s.hidden), // w2
    ...ofEachLayer(s, "ffn_up", s.hidden, s.dim), // w3
    ["output_norm.weight", s.dim],
    ["-", s.context, s.dim / s.heads / 2], // freq_cis_real
    ["-", s.context, s.dim / s.heads / 2], // freq_cis_imag
    ...(tied ? [] : [["output.weight", s.vocab, s.dim] as const]),
  ];
}

/** What versions 1 and 2 hold, in order (version1_export and version2_export). */
function newOrder(s: Sizes, tied: boolean): Entry[] {
  const kvDim = (s.dim / s.heads) * s.kvHeads;
  return [
    ...ofEachLayer(s, "attn_norm", s.dim),
    ...ofEachLayer(s, "ffn_norm", s.dim),
    ["output_norm.weight", s.dim],
    ["token_embd.weight", s.vocab, s.dim],
    ...ofEachLayer(s, "attn_q", s.dim, s.dim),
    ...ofEachLayer(s, "attn_k", kvDim, s.dim),
    ...ofEachLayer(s, "attn_v", kvDim, s.dim),
    ...ofEachLayer(s, "attn_output", s.dim, s.dim),
    ...ofEachLayer(s, "ffn_gate", s.hidden, s.dim),
    ...ofEachLayer(s, "ffn_down", s.dim, s.hidden),
    ...ofEachLayer(s, "ffn_up", s.hidden, s.dim),
    ...(tied ? [] : [["output.weight", s.vocab, s.dim] as const]),
  ];
}

interface Made {
  readonly file: Uint8Array;
  /** The weights of each tensor by name. */
  readonly weights: Map<string, Float32Array>;
}

/** A checkpoint whose weights are all different, so that one read from the wrong place shows. */
function makeFile(version: 0 | 1 | 2, tied: boolean, groupSize = 4, s = sizes): Made {
  const file = new Uint8Array(1 << 16);
  const view = new DataView(file.buffer);
  let at = 0;
  const i32 = (value: number) => {
    view.setInt32(at, value, true);
    at += 4;
  };
  const f32 = (value: number) => {
    view.setFloat32(at, value, true);
    at += 4;
  };
  if (version > 0) {
    i32(0x616b3432);
    i32(version);
  }
  const vocab = version === 0 && !tied ? -s.vocab : s.vocab;
  for (const size of [s.dim, s.hidden, s.layers, s.heads, s.kvHeads, vocab, s.context]) i32(size);
  if (version > 0) {
    view.setUint8(at++, tied ? 1 : 0);
    if (version === 2) i32(groupSize);
    at = 256;
  }

  const weights = new Map<string, Float32Array>();
  let next = 1;
  for (const [name, ...shape] of version === 0 ? legacyOrder(s, tied) : newOrder(s, tied)) {
    const count = shape.reduce((a, b) => a * b);
    const values = new Float32Array(count);
    if (version === 2 && shape.length > 1) {
      const quants = Int8Array.from({ length: count }, () => (next++ % 255) - 127);
      const scales = Float32Array.from({ length: count / groupSize }, () => next++ / 1024);
      file.set(new Uint8Array(quants.buffer), at);
      at += count;
      for (const scale of scales) f32(scale);
      for (let i = 0; i < count; i++) values[i] = quants[i]! * scales[Math.floor(i / groupSize)]!;
    } else {
      for (let i = 0; i < count; i++) {
        values[i] = next++;
        f32(values[i]!);
      }
    }
    if (name !== "-") weights.set(name, values);
  }
  return { file: file.slice(0, at), weights };
}

function headerOf(change: (view: DataView) => void, version: 0 | 1 | 2 = 1): Uint8Array {
  const { file } = makeFile(version, true);
  change(new DataView(file.buffer));
  return file;
}

function rowsOf(tensor: TensorInfo): number {
  return tensor.shape.length === 1 ? 1 : tensor.shape[0]!;
}

async function weightsOf(checkpoint: Checkpoint, tensor: TensorInfo): Promise<Float32Array> {
  expect(tensor.type).toBe("F32");
  const bytes = await checkpoint.readRows(tensor, 0, rowsOf(tensor));
  return new Float32Array(bytes.slice().buffer);
}

const open = (file: Uint8Array) => openCheckpoint(bytesSource(file, "test.bin"));

describe("a llama2.c checkpoint", () => {
  const kinds = ([0, 1, 2] as const).flatMap((version) =>
    [true, false].map((tied) => [version, tied ? "shared" : "own", tied] as const),
  );
  it.each(kinds)(
    "v%i with its %s classifier opens, each tensor with its weights",
    async (version, _, tied) => {
      const { file, weights } = makeFile(version, tied);
      const checkpoint = await open(file);
      expect(checkpoint).toMatchObject({ format: `llama2.c v${version}`, special: { bos: 1, eos: 2 } });
      expect(checkpoint.config).toEqual({
        dim: 8,
        hiddenDim: 12,
        nLayers: 2,
        nHeads: 2,
        nKvHeads: 1,
        headDim: 4,
        kvDim: 4,
        ropeDim: 4,
        ropeBase: 10000,
        normEps: Math.fround(1e-5),
        vocabSize: 5,
        contextLength: 6,
      });
      expect([...checkpoint.tensors.keys()].sort()).toEqual([...weights.keys()].sort());
      for (const tensor of checkpoint.tensors.values()) {
        expect(await weightsOf(checkpoint, tensor), tensor.name).toEqual(weights.get(tensor.name));
      }
    },
  );

  // 8 does not divide the 12 columns of ffn_down: every second group lies in two rows
  it.each([1, 4, 8])("v2 with groups of %i: any range of rows has the right scales", async (groupSize) => {
    const { file, weights } = makeFile(2, false, groupSize);
    const checkpoint = await open(file);
    for (const tensor of checkpoint.tensors.values()) {
      if (tensor.shape.length === 1) continue;
      expect(tensor.storedAs).toBe(`int8 groups of ${groupSize}`);
      const [rows, cols] = tensor.shape as [number, number];
      for (let begin = 0; begin <= rows; begin++) {
        for (let end = begin; end <= rows; end++) {
          const bytes = await checkpoint.readRows(tensor, begin, end);
          const expected = weights.get(tensor.name)!.slice(begin * cols, end * cols);
          expect(new Float32Array(bytes.slice().buffer)).toEqual(expected);
        }
      }
    }
  });

  it("refuses to read rows that a tensor does not have", async () => {
    for (const version of [0, 2] as const) {
      const checkpoint = await open(makeFile(version, true).file);
      const embedding = checkpoint.tensors.get("token_embd.weight")!;
      await expect(checkpoint.readRows(embedding, 4, 6)).rejects.toThrow(RangeError);
    }
  });
});

describe("a bad llama2.c file is a FormatError", () => {
  it.each([0, 1, 2] as const)("v%i cut at every byte, or longer by one", async (version) => {
    const { file } = makeFile(version, false);
    for (let length = 0; length < file.length; length++) {
      await expect(open(file.subarray(0, length)), `cut at ${length}`).rejects.toThrow(FormatError);
    }
    const longer = new Uint8Array(file.length + 1);
    longer.set(file);
    await expect(open(longer)).rejects.toThrow(/expected [\d,]+ bytes of a llama2.c v.*found/);
  });

  const at = { version: 4, dim: 8, hidden: 12, layers: 16, heads: 20, kvHeads: 24, vocab: 28, context: 32 };
  const cases: [string, Uint8Array, RegExp][] = [
    [
      "version 3",
      headerOf((view) => view.setInt32(at.version, 3, true)),
      /version: expected 1 or 2, found 3/,
    ],
    ["version -1", headerOf((view) => view.setInt32(at.version, -1, true)), /version: .*found -1/],
    ...(["dim", "hidden", "layers", "heads", "kvHeads", "vocab", "context"] as const).flatMap((field) =>
      [0, -1, -(2 ** 31), 2 ** 31 - 1].map((value): (typeof cases)[number] => [
        `${field} ${value}`,
        headerOf((view) => view.setInt32(at[field], value, true)),
        new RegExp(`llama2.c v1: \\w+: expected 1 to .*found ${value}`),
      ]),
    ),
    [
      "3 heads of dim 8",
      headerOf((view) => view.setInt32(at.heads, 3, true)),
      /dim: .*multiple of the 3 heads, found 8/,
    ],
    [
      "heads of size 1",
      headerOf((view) => view.setInt32(at.heads, 8, true)),
      /dim \/ n_heads: expected an even .*found 1/,
    ],
    [
      "kv heads that do not divide",
      headerOf((view) => view.setInt32(at.kvHeads, 3, true)),
      /n_kv_heads: .*found 3/,
    ],
    [
      "a shared_classifier of 2",
      headerOf((view) => view.setUint8(36, 2)),
      /shared_classifier: expected 0 or 1, found 2/,
    ],
    ...[0, -8, 3, 16].map((size): (typeof cases)[number] => [
      `a group size of ${size}`,
      headerOf((view) => view.setInt32(37, size, true), 2),
      new RegExp(`group_size: expected a divisor of dim 8, found ${size}`),
    ]),
    [
      "v1 that calls itself v2",
      headerOf((view) => view.setInt32(at.version, 2, true)),
      /group_size: .*found 0/,
    ],
    [
      "v0 with a context one longer",
      headerOf((view) => view.setInt32(24, 7, true), 0),
      /max_seq_len 7; found/,
    ],
    [
      "v0 without its own classifier",
      headerOf((view) => view.setInt32(20, -5, true), 0),
      /expected .* bytes .*v0/,
    ],
    ["v0 with -1 layers", headerOf((view) => view.setInt32(8, -1, true), 0), /not a model; it begins with/],
    ["v0 of zeros", new Uint8Array(1000), /not a model; it begins with/],
  ];
  it.each(cases)("%s", async (_, file, message) => {
    await expect(open(file)).rejects.toThrow(FormatError);
    await expect(open(file)).rejects.toThrow(message);
    await expect(open(file)).rejects.toThrow(/^Cannot (read|open) test\.bin: /);
  });

  it("whatever numbers the header has, unless the size goes with them", async () => {
    const number = fc.oneof(
      fc.integer({ min: -3, max: 20 }),
      fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
    );
    const change = fc.record({ at: fc.nat(63), value: number });
    const version = fc.constantFrom(0, 1, 2) as fc.Arbitrary<0 | 1 | 2>;
    await fc.assert(
      fc.asyncProperty(version, fc.array(change, { maxLength: 4 }), async (made, changes) => {
        const { file } = makeFile(made, false);
        const view = new DataView(file.buffer);
        for (const { at: offset, value } of changes) view.setInt32(offset, value, true);
        const checkpoint = await open(file).catch((error: unknown) => {
          if (!(error instanceof FormatError)) throw error;
          return undefined;
        });
        for (const tensor of checkpoint?.tensors.values() ?? []) {
          expect(tensor.offset + tensor.bytes).toBeLessThanOrEqual(file.length);
          await checkpoint!.readRows(tensor, 0, rowsOf(tensor));
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe.skipIf(!sharedData("models/stories260K"))("stories260K (skipped without ../shared)", () => {
  async function withShared(
    names: string[],
    use: (...checkpoints: Checkpoint[]) => Promise<void>,
  ): Promise<void> {
    const sources = await Promise.all(
      names.map((name) => fileSource(sharedData(`models/stories260K/${name}`)!)),
    );
    try {
      await use(...(await Promise.all(sources.map(openCheckpoint))));
    } finally {
      for (const source of sources) await source.close();
    }
  }

  it("is the same model as v0, as v1 and as GGUF, bit for bit", async () => {
    await withShared(["stories260K.bin", "stories260K-export-v1.bin", "stories260K.gguf"], async (...all) => {
      const [v0, v1, gguf] = all as [Checkpoint, Checkpoint, Checkpoint];
      expect(all.map(({ format }) => format)).toEqual(["llama2.c v0", "llama2.c v1", "GGUF v3"]);
      expect(v0.config).toMatchObject({
        dim: 64,
        hiddenDim: 172,
        nLayers: 5,
        nHeads: 8,
        nKvHeads: 4,
        vocabSize: 512,
      });
      expect(v1.config).toEqual(v0.config);
      // whoever made the GGUF gave it another context
      expect(gguf.config).toEqual({ ...v0.config, contextLength: 2048 });
      expect(v1.special).toEqual(gguf.special);
      for (const tensor of v0.tensors.values()) {
        const weights = await weightsOf(v0, tensor);
        expect(await weightsOf(v1, v1.tensors.get(tensor.name)!), tensor.name).toEqual(weights);
        expect(await weightsOf(gguf, gguf.tensors.get(tensor.name)!), tensor.name).toEqual(weights);
      }
      // the classifier is shared; the GGUF writes it out
      expect(v0.tensors.has("output.weight")).toBe(false);
      expect(await weightsOf(gguf, gguf.tensors.get("output.weight")!)).toEqual(
        await weightsOf(v0, v0.tensors.get("token_embd.weight")!),
      );
    });
  });

  it("in int8 groups (v2) is within half a step of each weight", async () => {
    await withShared(["stories260K.bin", "stories260K-q8.bin"], async (...both) => {
      const [v0, v2] = both as [Checkpoint, Checkpoint];
      expect(v2.config).toEqual(v0.config);
      const groupSize = 8;
      for (const tensor of v0.tensors.values()) {
        const weights = await weightsOf(v0, tensor);
        const found = await weightsOf(v2, v2.tensors.get(tensor.name)!);
        if (tensor.shape.length === 1) expect(found).toEqual(weights);
        for (let group = 0; tensor.shape.length > 1 && group < weights.length; group += groupSize) {
          const exact = weights.subarray(group, group + groupSize);
          const step = Math.max(...exact.map(Math.abs)) / 127;
          const worst = Math.max(...exact.map((weight, i) => Math.abs(weight - found[group + i]!)));
          // the export computes in f32, so a quotient just beside a half may have gone the other way
          if (worst > step * 0.50001)
            expect.fail(`${tensor.name} from ${group}: off by ${worst / step} steps`);
        }
      }
    });
  });
});
