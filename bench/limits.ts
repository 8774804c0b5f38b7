import type { Build } from "../runtime/memory/choices.js";
import { inflateModule, instantiateKernels } from "../runtime/memory/kernel-module.js";
import { type LimitKernels, relaxed16Limits, relaxedLimits, simdLimits } from "./generated/limits.js";

/** Operations of one round of a loop: a multiplication and an addition are two. */
const floatOperations = 12 * 8;
const integerOperations: Readonly<Record<Build, number>> = {
  simd: 12 * 16,
  relaxed: 12 * 32,
  relaxed16: 12 * 32,
};
/** Rounds of one call: some tens of microseconds. */
const ROUNDS = 10_000;
/** What read_bytes reads at once. */
const READ_STEP = 128;

/** A loop that meets a limit of the machine, and how much one call does. */
export interface LimitLoop {
  readonly call: () => void;
  readonly amount: number;
}

/** The machine's limits for one build of the kernels, as loops over a memory. */
export interface Limits {
  /** Reading the `bytes` at the beginning of the memory, which are in the caches that they fit in. Amount: bytes. */
  reading(bytes: number): LimitLoop;
  /** Multiplying and adding in registers, by the instructions that the kernels use. Amount: operations. */
  computing(numbers: "integers" | "floats"): LimitLoop;
}

export async function openLimits(build: Build, memory: WebAssembly.Memory): Promise<Limits> {
  const kernels = await limitKernels(await limitsModule(build, { shared: false }), memory);
  return {
    reading(bytes) {
      const whole = Math.ceil(bytes / READ_STEP) * READ_STEP;
      // short reads several times over, so that the call itself does not count
      const times = Math.ceil(65_536 / whole);
      return {
        call: () => {
          for (let i = 0; i < times; i++) kernels.read_bytes(0, whole);
        },
        amount: times * whole,
      };
    },
    computing(numbers) {
      return numbers === "integers"
        ? { call: () => kernels.integer_dots(ROUNDS), amount: ROUNDS * integerOperations[build] }
        : { call: () => kernels.float_products(ROUNDS), amount: ROUNDS * floatOperations };
    },
  };
}

/** The compiled module of kernels/limits.ts, for a shared memory or a plain one. */
export async function limitsModule(
  build: Build,
  { shared }: { readonly shared: boolean },
): Promise<WebAssembly.Module> {
  const embedded = { simd: simdLimits, relaxed: relaxedLimits, relaxed16: relaxed16Limits }[build];
  const wasm = await inflateModule(embedded);
  if (shared) wasm[embedded.memoryFlagOffset] = 3;
  return WebAssembly.compile(wasm);
}

export async function limitKernels(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
): Promise<LimitKernels> {
  return (await instantiateKernels(module, memory)) as unknown as LimitKernels;
}
