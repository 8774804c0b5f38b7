import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dequantize as twin } from "../../test/dequantize.js";
import { quantize as reference } from "../../test/quantize.js";
import { dequantize } from "./dequantize.js";
import { ggmlTypeNamed } from "./ggml-types.js";
import { type QuantizedType, quantize, quantizedTypes } from "./quantize.js";

/** Nearly normal weights, the same wherever they are made: sums of twelve numbers of a congruential generator. */
function nearlyNormal(count: number, mean: number, deviation: number): Float32Array {
  let state = 1;
  return Float32Array.from({ length: count }, () => {
    let sum = -6;
    for (let i = 0; i < 12; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      sum += state / 2 ** 32;
    }
    return mean + deviation * sum;
  });
}

/** What the blocks stand for, by the twin; Q4_1, which it lacks, by its formula. */
function decoded(type: QuantizedType, bytes: Uint8Array): Float64Array {
  if (type !== "Q4_1") return twin(type, bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const half = (at: number) => twin("F16", bytes.subarray(at, at + 2))[0]!;
  return Float64Array.from({ length: (bytes.length / 20) * 32 }, (_, i) => {
    const at = Math.floor(i / 32) * 20;
    const pair = view.getUint8(at + 4 + (i % 16));
    return half(at) * (i % 32 < 16 ? pair & 15 : pair >> 4) + half(at + 2);
  });
}

function rmse(weights: Float32Array, values: Float64Array): number {
  return Math.sqrt(weights.reduce((sum, x, i) => sum + (x - values[i]!) ** 2, 0) / weights.length);
}

/**
 * Errors of ggml's own quantize_row_*_ref on the same 32,768 weights, computed with its C library (libggml-base 0.5.0, of
 * node-llama-cpp 3.22.1) and its dequantize_row_*; and how much larger ours may be. Q4_K's search there weighs the large weights more.
 */
const ggmlErrors: readonly [QuantizedType, number, number, number][] = [
  ["Q8_0", 0.00010629, 0.0020537, 1.0001],
  ["Q4_0", 0.0017092, 0.032584, 0.95],
  ["Q4_1", 0.0015703, 0.015703, 0.91],
  ["Q4_K", 0.0014309, 0.015977, 1.005],
  ["Q6_K", 0.00035603, 0.006847, 0.985],
];

describe("quantize()", () => {
  it.each(ggmlErrors)("%s has no larger an error than ggml's", (type, centred, shifted, tolerance) => {
    for (const [weights, expected] of [
      [nearlyNormal(32768, 0, 0.02), centred],
      [nearlyNormal(32768, 0.5, 0.2), shifted],
    ] as const) {
      expect(rmse(weights, decoded(type, quantize(type, weights)))).toBeLessThan(expected * tolerance);
    }
  });

  it.each(["F16", "Q8_0"] as const)("%s has the bytes that ggml's formula gives", (type) => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ min: -65000, max: 65000, noNaN: true }), { minLength: 32, maxLength: 32 }),
        (block) => {
          const weights = Float32Array.from(block);
          expect(quantize(type, weights)).toEqual(reference(type, weights));
        },
      ),
    );
  });

  it.each(quantizedTypes)(
    "%s keeps every weight within a step of its block, whatever the weights",
    (type) => {
      const { blockSize } = ggmlTypeNamed(type);
      const anyWeight = fc.oneof(
        fc.float({ min: -1, max: 1, noNaN: true }),
        fc.constantFrom(0, -0, 1, -1, 1e-30, 1e-6, 100),
        fc.float({ min: -1000, max: 1000, noNaN: true }),
      );
      fc.assert(
        fc.property(fc.array(anyWeight, { minLength: 256, maxLength: 256 }), (array) => {
          const weights = Float32Array.from(array);
          const values = decoded(type, quantize(type, weights));
          for (let from = 0; from < 256; from += blockSize) {
            const block = weights.subarray(from, from + blockSize);
            const range = Math.max(0, ...block) - Math.min(0, ...block);
            const levels = { F16: 2048, Q8_0: 200, Q4_0: 6, Q4_1: 13, Q4_K: 8, Q6_K: 25 }[type];
            // a scale is a half, which may be 2^-25 off where it is next to nothing; so many times it makes a weight at most
            const steps = { F16: 1, Q8_0: 127, Q4_0: 8, Q4_1: 16, Q4_K: 64 * 16, Q6_K: 128 * 32 }[type];
            const error = Math.max(...block.map((x, i) => Math.abs(values[from + i]! - x)));
            expect(error).toBeLessThanOrEqual(range / levels + (steps + 1) * 2 ** -25);
          }
        }),
        { numRuns: 300 },
      );
    },
  );

  it.each(quantizedTypes)("%s keeps zeros", (type) => {
    const zeros = new Float32Array(512);
    expect(dequantize(type, quantize(type, zeros))).toEqual(zeros);
  });

  it("Q4_0 keeps weights that are multiples of one scale, from -8 to 7 of it", () => {
    const weights = Float32Array.from({ length: 512 }, (_, i) => ((i * 7) % 16) / 8 - 1);
    expect(dequantize("Q4_0", quantize("Q4_0", weights))).toEqual(weights);
  });

  it.each(quantizedTypes)("%s quantizes each block by itself", (type) => {
    const weights = nearlyNormal(1024, 0.1, 1);
    const whole = quantize(type, weights);
    const parts = [0, 256, 512, 768].map((from) => quantize(type, weights.subarray(from, from + 256)));
    expect(whole).toEqual(Uint8Array.from(parts.flatMap((part) => [...part])));
  });
});
