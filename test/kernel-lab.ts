// Test support: runs kernels on data at chosen places of a full-size memory, with patterned zones around every array.

import { relaxed, relaxed16, simd } from "../kernels/generated/builds.js";
import { debug } from "../kernels/generated/debug.js";
import { inflateModule, instantiateKernels, type Kernels } from "../runtime/memory/kernel-module.js";

const PAGES = 65_535; // a page below 4 GiB, as the largest stage has
const GUARD_BYTES = 64;
const GUARD = 0xa5;

/** Every build, each with its own memory; pages that are not touched cost nothing. */
export const labs = await Promise.all(
  Object.entries({ simd, relaxed, relaxed16, debug }).map(([name, embedded]) => openLab(name, embedded)),
);

export interface Lab {
  readonly name: string;
  readonly kernels: Kernels;
  /** Forgets all arrays; the next ones lie from `base` on, or, at "end", up to the memory's last byte. */
  place(base: number | "end", totalBytes?: number): void;
  /** Copies `data` into memory and returns its address. */
  put(data: ArrayBufferView<ArrayBuffer>): number;
  /** Reserves `count` floats, filled with NaN, so that an output that is not written shows. */
  room(count: number): number;
  floats(address: number, count: number): Float32Array;
  bytes(address: number, count: number): Uint8Array;
  /** Throws when something was written outside the arrays. */
  check(): void;
}

/** The places every kernel is tried at: past the first page, above 2 GiB (where i32 addresses are negative), and at the very end. */
export const places: readonly (number | "end")[] = [65_536, 2 ** 31 + 65_536, "end"];

async function openLab(name: string, embedded: typeof simd): Promise<Lab> {
  const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES });
  const kernels = await instantiateKernels(await WebAssembly.compile(await inflateModule(embedded)), memory);
  const buffer = memory.buffer;
  let next = 65_536;
  let guards: number[] = [];

  function reserve(bytes: number): number {
    guards.push(next);
    new Uint8Array(buffer, next, GUARD_BYTES).fill(GUARD);
    const address = next + GUARD_BYTES;
    next = Math.ceil((address + bytes) / 16) * 16;
    // up to the next array's guard, or the end of memory
    new Uint8Array(buffer, address + bytes, next - address - bytes).fill(GUARD);
    if (next > buffer.byteLength) throw new Error("the lab's memory is full");
    return address;
  }

  return {
    name,
    kernels,
    place(base, totalBytes = 0) {
      next = base === "end" ? buffer.byteLength - totalBytes : base;
      guards = [];
    },
    put(data) {
      const address = reserve(data.byteLength);
      new Uint8Array(buffer, address).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      return address;
    },
    room(count) {
      const address = reserve(count * 4);
      new Float32Array(buffer, address, count).fill(Number.NaN);
      return address;
    },
    floats: (address, count) => new Float32Array(buffer, address, count).slice(),
    bytes: (address, count) => new Uint8Array(buffer, address, count).slice(),
    check() {
      for (const guard of guards) {
        const zone = new Uint8Array(buffer, guard, GUARD_BYTES);
        if (zone.some((byte) => byte !== GUARD))
          throw new Error(`${name}: a kernel wrote before the array at ${guard + GUARD_BYTES}`);
      }
    },
  };
}

/** Repeatable numbers, roughly normal with the given standard deviation. */
export function randomFloats(count: number, seed: number, deviation = 1): Float32Array<ArrayBuffer> {
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  const uniform = () => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
  return Float32Array.from(
    { length: count },
    () => (uniform() + uniform() + uniform() + uniform() - 2) * Math.sqrt(3) * deviation,
  );
}

/** The largest |found - expected|. NaN anywhere gives NaN. */
export function maxError(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (found.length !== expected.length)
    throw new Error(`expected ${expected.length} values, found ${found.length}`);
  let worst = 0;
  for (let i = 0; i < found.length; i++) worst = Math.max(worst, Math.abs(found[i]! - expected[i]!));
  return worst;
}
