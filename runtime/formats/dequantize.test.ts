import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { dequantize as twin } from "../../test/dequantize.js";
import { sharedData } from "../../test/shared-data.js";
import { createRandom } from "../sampling/random.js";
import { dequantize } from "./dequantize.js";
import { openGguf } from "./gguf.js";
import { fileSource } from "./source.js";
import { type TensorType, tensorTypes } from "./tensor-types.js";

/** Where the half floats of a block lie, which random bytes would make infinite now and then. */
const halves: Record<TensorType, readonly number[]> = {
  F32: [],
  F16: [],
  BF16: [],
  Q8_0: [0],
  Q4_0: [0],
  Q5_0: [0],
  Q4_1: [0, 2],
  Q5_1: [0, 2],
  IQ4_NL: [0],
  Q2_K: [80, 82],
  Q3_K: [108],
  Q4_K: [0, 2],
  Q5_K: [0, 2],
  Q6_K: [208],
};

describe("dequantize()", () => {
  it.each(Object.keys(tensorTypes) as TensorType[])("%s is the float64 twin, rounded once", (type) => {
    const random = createRandom(7);
    const blocks = 300;
    const { blockBytes } = tensorTypes[type];
    const bytes = Uint8Array.from({ length: blocks * blockBytes }, () => 256 * random());
    for (let block = 0; block < blocks; block++) {
      for (const at of halves[type]) bytes[block * blockBytes + at + 1]! &= 0xbf; // exponents of 15 at most
    }
    const shifted = new Uint8Array(bytes.length + 3).subarray(3); // blocks lie at any address
    shifted.set(bytes);
    expect(dequantize(type, shifted)).toEqual(Float32Array.from(twin(type, bytes)));
  });

  it("Q4_1 is d * q + m", () => {
    const bytes = new Uint8Array(20);
    bytes.set([0x00, 0x38, 0x00, 0xc0]); // d = 0.5, m = -2
    bytes.fill(0xf3, 4);
    const weights = dequantize("Q4_1", bytes);
    expect([...weights]).toEqual([...new Array(16).fill(-0.5), ...new Array(16).fill(5.5)]);
  });

  const file = sharedData("models/hf-fixtures/tiny_kquant.gguf");
  it.skipIf(!file)(
    "tiny_kquant.gguf has the values of its reference (skipped without ../shared)",
    async () => {
      const source = await fileSource(file!);
      const { tensors } = await openGguf(source);
      const { dequant } = JSON.parse(
        readFileSync(sharedData("models/hf-fixtures/tiny_kquant_ref.json")!, "utf8"),
      );
      for (const type of ["Q4_K", "Q5_K", "Q6_K"] as const) {
        const { offset, bytes } = tensors.get(`kq.${type}.weight`)!;
        const weights = dequantize(type, await source.read(offset, offset + bytes));
        expect(weights).toEqual(Float32Array.from(dequant[type]));
      }
      await source.close();
    },
  );
});
