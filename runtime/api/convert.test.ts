import { describe, expect, it } from "vitest";
import { vocabulary } from "../../test/cria-program.js";
import { randomCheckpoint, smallConfig } from "../../test/random-model.js";
import { checkpointToGguf } from "../../test/write-gguf.js";
import { NumericError } from "../errors.js";
import type { TensorType } from "../formats/tensor-types.js";
import { type ConvertOptions, convert } from "./convert.js";
import { inspect } from "./inspect.js";
import { load } from "./load.js";

const config = smallConfig({ vocabSize: 320, dim: 128, hiddenDim: 160 });

async function ggufOf(type: TensorType, tied = false): Promise<Uint8Array> {
  return checkpointToGguf(randomCheckpoint({ config, type, seed: 9, tied }), vocabulary);
}

async function converted(from: Uint8Array, options: ConvertOptions): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  const sink = {
    write: async (bytes: Uint8Array) => {
      pieces.push(bytes.slice());
    },
  };
  const { bytes } = await convert(from, sink, options);
  const file = Uint8Array.from(Buffer.concat(pieces));
  expect(bytes).toBe(file.length);
  return file;
}

async function logitsOf(from: Uint8Array, options: Parameters<typeof load>[1] = {}): Promise<Float32Array[]> {
  await using model = await load(from, options);
  const rows: Float32Array[] = [];
  for await (const row of model.logits([1, 40, 7, 300, 12], { from: 0 })) rows.push(row.slice());
  return rows;
}

describe("convert()", () => {
  it("keeps every type of weights, and the logits bit for bit", async () => {
    for (const type of ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q5_0", "IQ4_NL"] as const) {
      const file = await ggufOf(type);
      expect(await logitsOf(await converted(file, {}))).toEqual(await logitsOf(file));
    }
  });

  it("reads quantized models as well, and shares a tied embedding", async () => {
    const file = await converted(await ggufOf("Q5_0", true), { type: "q8_0" });
    const { tensors, problem } = await inspect(file);
    expect(problem).toBeUndefined();
    expect(tensors.some(({ name }) => name === "output.weight")).toBe(false);
    expect(tensors.filter(({ shape }) => shape.length > 1).every(({ type }) => type === "Q8_0")).toBe(true);
  });

  it("says how far it is, and rejects with the signal's reason", async () => {
    const seen: number[] = [];
    const file = await converted(await ggufOf("F32"), {
      type: "q4_0",
      onProgress: ({ loaded, total }) => seen.push(loaded / total),
    });
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(seen.at(-1)).toBe(1);

    const controller = new AbortController();
    const reason = new Error("enough");
    const sink = { write: async () => controller.abort(reason) };
    await expect(convert(file, sink, { signal: controller.signal })).rejects.toBe(reason);
  });

  it("rejects with what the sink rejects with, and for wrong options", async () => {
    const full = new Error("the disk is full");
    await expect(convert(await ggufOf("F32"), { write: () => Promise.reject(full) })).rejects.toBe(full);
    const wrong = convert(await ggufOf("F32"), { write: async () => {} }, { type: "q2_k" as never });
    await expect(wrong).rejects.toThrow(
      /expected type to be one of f16, q8_0, q4_0, q4_1, q4_k, q6_k, found q2_k/,
    );
  });

  it("refuses weights that are too large for a half float", async () => {
    const file = await ggufOf("F32");
    const at = file.length - 4; // the last weight of output.weight
    new DataView(file.buffer).setFloat32(at, 70000, true);
    await expect(converted(file, { type: "f16" })).rejects.toThrow(NumericError);
    await expect(converted(file, { type: "f16" })).rejects.toThrow(/expected weights that F16 can hold/);
  });
});

describe("load() with quantize", () => {
  it.each(["q8_0", "q4_0"] as const)(
    "%s computes what the converted model computes, bit for bit",
    async (type) => {
      const file = await ggufOf("F16");
      const expected = await logitsOf(await converted(file, { type }));
      expect(await logitsOf(file, { quantize: type })).toEqual(expected);
      expect(await logitsOf(file)).not.toEqual(expected);
    },
  );

  it("leaves alone what is quantized already", async () => {
    const file = await ggufOf("Q8_0");
    expect(await logitsOf(file, { quantize: "q4_0" })).toEqual(await logitsOf(file));
  });

  it("refuses other types, and weights that are no numbers", async () => {
    const file = await ggufOf("F32");
    await expect(load(file, { quantize: "q4_k" as never })).rejects.toThrow(
      /expected quantize to be q8_0 or q4_0/,
    );
    new DataView(file.buffer).setFloat32(file.length - 4, Number.NaN, true);
    await expect(load(file, { quantize: "q4_0" })).rejects.toThrow(
      /output.weight holds an infinity or a NaN in row 319/,
    );
  });
});
