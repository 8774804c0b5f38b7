// Real blocks: four rows of 256 weights in the formats of ggml, made by ggml's quantizers, and what its reference
// (the gguf Python package) reads from them. Skipped without ../shared.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { openGguf } from "../runtime/formats/gguf.js";
import { bytesSource } from "../runtime/formats/source.js";
import { packedBytes } from "../runtime/memory/tensor.js";
import { dequantize } from "../test/dequantize.js";
import { labs } from "../test/kernel-lab.js";
import { quantize } from "../test/quantize.js";
import { sharedData } from "../test/shared-data.js";

const folder = sharedData("models/hf-fixtures");

describe.skipIf(!folder)("the blocks of tiny_kquant.gguf", async () => {
  if (!folder) return;
  const file = new Uint8Array(readFileSync(`${folder}/tiny_kquant.gguf`));
  const { tensors } = await openGguf(bytesSource(file, "tiny_kquant.gguf"));
  const reference: { ref_f32: number[]; dequant: Record<string, number[]> } = JSON.parse(
    readFileSync(`${folder}/tiny_kquant_ref.json`, "utf8"),
  );

  describe.each(["Q2_K", "Q4_K", "Q5_K", "Q6_K"] as const)("%s", (type) => {
    const tensor = [...tensors.values()].find((found) => found.type === type)!;
    const bytes = file.slice(tensor.offset, tensor.offset + tensor.bytes);
    const expected = Float32Array.from(reference.dequant[type]!);

    it("are read by the float64 twin as by the reference, which rounds to f32", () => {
      expect(Float32Array.from(dequantize(type, bytes))).toEqual(expected);
    });

    it.each(labs)("are packed and read back by the kernels, exactly ($name build)", (lab) => {
      const name = type.toLowerCase() as Lowercase<typeof type>;
      lab.place(65_536);
      const packed = lab.room(packedBytes(name, 4, 256) / 4);
      expect(lab.kernels[`pack_${name}`](packed, lab.put(bytes), 4, 256)).toBe(-1);
      for (let row = 0; row < 4; row++) {
        const out = lab.room(256);
        lab.kernels[`embed_${name}`](out, packed, row, 256);
        lab.check();
        expect(lab.floats(out, 256)).toEqual(expected.subarray(256 * row, 256 * (row + 1)));
      }
    });

    it("are no worse than twice as near to the weights as those of the tests' own quantizer", () => {
      const weights = Float32Array.from(reference.ref_f32);
      const error = (found: ArrayLike<number>) =>
        Math.hypot(...weights.map((weight, i) => weight - found[i]!));
      expect(error(dequantize(type, quantize(type, weights)))).toBeLessThan(2 * error(expected));
    });
  });
});
