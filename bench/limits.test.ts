import { describe, expect, it } from "vitest";
import type { Build } from "../runtime/memory/choices.js";
import { limitKernels, limitsModule, openLimits } from "./limits.js";

const memory = new WebAssembly.Memory({ initial: 2, maximum: 2 });
const builds: readonly Build[] = ["simd", "relaxed"];

/** What the loop of integer_dots computes, number by number: lanes 0 and 1 of the twelve sums. */
function dots(build: Build, rounds: number): number {
  let total = 0;
  for (let chain = 1; chain <= 12; chain++) {
    let sum = chain;
    let x = 1;
    for (let round = 0; round < rounds; round++) {
      x = ((x + 3) << 24) >> 24; // int8 wraps
      const pair = ((sum << 16) >> 16) + (sum >> 16); // times 0x0303, the int16 of two bytes of 3
      sum = build === "relaxed" ? (sum + 4 * x * 3) | 0 : (sum + Math.imul(pair, 0x0303)) | 0;
    }
    total = (total + 2 * sum) | 0;
  }
  return total;
}

describe.each(builds)("the limits of the %s build", (build) => {
  it("read every byte that they count", async () => {
    const kernels = await limitKernels(await limitsModule(build, { shared: false }), memory);
    const bytes = new Uint8Array(memory.buffer);
    bytes.forEach((_, i) => {
      bytes[i] = (i * 31 + (i >> 8)) & 255;
    });
    const words = new BigUint64Array(memory.buffer, 256, 4096 / 8);
    const whole = BigInt.asUintN(
      64,
      words.reduce((total, word) => total + word, 0n),
    );
    expect(kernels.read_bytes(256, 4096)).toBe(Number(BigInt.asIntN(32, whole ^ (whole >> 32n))));
  });

  it("compute what they count", async () => {
    const kernels = await limitKernels(await limitsModule(build, { shared: false }), memory);
    for (const rounds of [0, 1, 2, 100]) expect(kernels.integer_dots(rounds)).toBe(dots(build, rounds));
    // x -> x / 2 + 1 goes to 2 from wherever it starts
    expect(kernels.float_products(0)).toBeCloseTo(
      1 + 1.1 + 1.2 + 1.3 + 1.4 + 1.5 + 1.6 + 1.7 + 1.8 + 1.9 + 2 + 3,
      4,
    );
    expect(kernels.float_products(100)).toBe(24);
  });

  it("come as loops that say how much a call does", async () => {
    const limits = await openLimits(build, memory);
    expect(limits.reading(1000).amount % 1024).toBe(0); // a whole number of 128 bytes
    expect(limits.reading(100_000).amount).toBe(100_096);
    const integers = limits.computing("integers").amount;
    expect(integers / limits.computing("floats").amount).toBe(build === "relaxed" ? 4 : 2);
    for (const loop of [limits.reading(1), limits.computing("integers"), limits.computing("floats")])
      loop.call();
  });
});
