import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dequantize as twin } from "../../test/dequantize.js";
import { quantize as quantizeTwin } from "../../test/quantize.js";
import { halfToNumber, numberToHalf } from "./floats.js";

describe("half floats", () => {
  it("have the twin's values, all 65,536 of them, and come back as the same bits", () => {
    const values = twin("F16", new Uint8Array(Uint16Array.from({ length: 65536 }, (_, i) => i).buffer));
    const bits = [...values.keys()];
    expect(Float64Array.from(bits, (i) => halfToNumber(i))).toEqual(values);
    const numbers = bits.filter((i) => !Number.isNaN(values[i]));
    expect(numbers.map((i) => numberToHalf(halfToNumber(i)))).toEqual(numbers);
  });

  it("are the nearest to any f32, ties to even", () => {
    const anyFloat = fc.oneof(
      fc.float(),
      fc.float({ min: -(2 ** -13), max: 2 ** -13 }),
      fc.float({ min: 65000, max: 66000 }),
      fc.nat(2 ** 16 - 1).map((bits) => Math.fround(halfToNumber(bits) * (1 + 2 ** -11))), // ties
    );
    fc.assert(
      fc.property(anyFloat, (x) => {
        const [low, high] = quantizeTwin("F16", Float32Array.of(x));
        expect(numberToHalf(x)).toBe(low! | (high! << 8));
      }),
      { numRuns: 5000 },
    );
  });
});
