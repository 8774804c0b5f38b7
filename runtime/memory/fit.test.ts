import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { header, llama } from "../../test/model-header.js";
import { smallConfig } from "../../test/random-model.js";
import { OutOfMemoryError } from "../errors.js";
import { type FitOptions, planWithin, suggestChanges } from "./fit.js";
import { planModel } from "./plan.js";

const GB = 1e9;

/** What a plan that is refused says. */
function refusal(checkpoint: ReturnType<typeof header>, options: FitOptions): string {
  try {
    planWithin(checkpoint, options);
  } catch (error) {
    expect(error).toBeInstanceOf(OutOfMemoryError);
    return (error as Error).message;
  }
  throw new Error("it was not refused");
}

describe("planWithin()", () => {
  const model = header(llama("7B"), "Q4_0");

  it("is the plan itself within the limit", () => {
    const options = { contextLength: 4096 };
    const plan = planModel(model, options);
    expect(planWithin(model, { ...options, memoryLimit: plan.totalBytes })).toEqual(plan);
    expect(planWithin(model, options)).toEqual(plan);
  });

  it("refuses what is above it, with the numbers and what would fit", () => {
    const message = refusal(model, { contextLength: 4096, memoryLimit: 5 * GB });
    // by hand: 6,738,149,376 weights in blocks of 18 bytes for 32, and 65 norms; 2 * 32 * 4096 * 4096 numbers of two bytes
    expect(message).toMatch(
      /^Cannot load model\.gguf: expected 5,9\d\d,\d{3},\d{3} bytes of memory \(weights 3,791,273,984, cache 2,147,483,648, scratch \d\d,\d{3},\d{3}\), found 5,000,000,000 that it may take;/,
    );
    expect(message).toMatch(
      /; it would fit with a context of 2,1\d\d \(4,9[\d,]+\), with a context of 3,9\d\d and a cache of q8_0 \(4,9[\d,]+\), with streamed weights \(4,[\d,]+\)$/,
    );
  });

  it("streams as few layers as the limit makes necessary", () => {
    const options = { contextLength: 1024, weights: "stream" } as const;
    const whole = planModel(model, options);
    for (const memoryLimit of [1.4 * GB, 2 * GB, 3 * GB]) {
      const plan = planWithin(model, { ...options, memoryLimit });
      expect(plan.totalBytes).toBeLessThanOrEqual(memoryLimit);
      const { streamedLayers } = plan;
      expect(streamedLayers).toBeGreaterThan(0);
      expect(planModel(model, { ...options, streamedLayers: streamedLayers - 1 }).totalBytes).toBeGreaterThan(
        memoryLimit,
      );
    }
    expect(planWithin(model, { ...options, memoryLimit: whole.totalBytes }).streamedLayers).toBe(0);
    expect(refusal(model, { ...options, memoryLimit: 0.6 * GB })).toMatch(
      /, read ahead \d{9}|, read ahead \d{3},\d{3},\d{3}\)/,
    );
  });

  it("a context that no stage can hold is refused with one that it can", () => {
    const config = { ...llama("7B"), contextLength: 2 ** 24 };
    expect(refusal(header(config, "Q4_0"), { contextLength: 2 ** 24, memoryLimit: 6 * GB })).toMatch(
      /^Cannot plan model\.gguf: the embedding needs .*; it would fit with a context of 4,\d{3} \(/,
    );
  });

  it("a limit that nothing helps with is refused without advice", () => {
    expect(refusal(model, { contextLength: 64, memoryLimit: 1e6 })).toMatch(
      /found 1,000,000 that it may take$/,
    );
  });

  it("plans a thousand layers at once", () => {
    const began = performance.now();
    const many = header(smallConfig({ nLayers: 1000, dim: 4096, hiddenDim: 8192 }), "F32");
    refusal(many, { contextLength: 64, memoryLimit: 1e9 });
    expect(performance.now() - began).toBeLessThan(6000); // 0.5 s on an idle machine
  });
});

describe("suggestChanges()", () => {
  it("suggests only what the planner says fits", () => {
    const cases = fc.record({
      type: fc.constantFrom(
        "F32" as const,
        "F16" as const,
        "Q8_0" as const,
        "Q4_0" as const,
        "Q4_K" as const,
      ),
      name: fc.constantFrom("7B" as const, "13B" as const),
      memoryLimit: fc.integer({ min: 1, max: 30 }).map((n) => n * GB),
      contextLength: fc.constantFrom(100, 512, 4096),
      cacheType: fc.constantFrom("f32" as const, "f16" as const, "q8_0" as const),
    });
    let suggested = 0;
    fc.assert(
      fc.property(cases, ({ type, name, ...options }) => {
        const model = header(llama(name), type);
        for (const suggestion of suggestChanges(model, options)) {
          suggested++;
          const { totalBytes, type: asType, quantize, ...changes } = suggestion;
          // the types by the rules of requantize.ts: a classifier of Q6_K in a file of Q4_0
          const changed = asType
            ? header(
                llama(name),
                asType === "q8_0" ? "Q8_0" : "Q4_0",
                false,
                undefined,
                asType === "q4_0" ? "Q6_K" : undefined,
              )
            : model;
          const plan = planWithin(changed, { ...options, ...changes });
          expect(plan.totalBytes).toBe(totalBytes);
          expect(totalBytes).toBeLessThanOrEqual(options.memoryLimit);
          expect(quantize === undefined || type === "F32" || type === "F16").toBe(true);
        }
      }),
      { numRuns: 60 },
    );
    expect(suggested).toBeGreaterThan(30);
  });
});
