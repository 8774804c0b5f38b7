import { relaxed } from "../../kernels/generated/relaxed.js";
import { simd } from "../../kernels/generated/simd.js";
import { UnsupportedError } from "../errors.js";
import { FIRST_PAGE_BYTES, inflateModule, instantiateKernels } from "./kernel-module.js";

/** The builds of the kernels: plain 128-bit SIMD, or with the relaxed integer dot. Their results are bit-equal. */
export type Build = "simd" | "relaxed";

export interface ChosenBuild {
  readonly build: Build;
  readonly module: WebAssembly.Module;
}

const embedded = { simd, relaxed };
const compiled = new Map<string, Promise<WebAssembly.Module>>();
let exact: Promise<boolean> | undefined;

/**
 * The build that runs best here, compiled for plain or for shared memories: the relaxed one where the engine knows it and computes it
 * right. A build asked for by name is taken as it is. Throws UnsupportedError where the engine lacks WebAssembly SIMD.
 */
export async function chooseBuild(asked?: Build, shared = false): Promise<ChosenBuild> {
  exact ??= asked ? undefined : relaxedDotIsExact();
  const build = asked ?? ((await exact) ? "relaxed" : "simd");
  const key = `${build}, ${shared ? "shared" : "plain"}`;
  let module = compiled.get(key);
  if (!module) {
    module = compile(build, shared);
    compiled.set(key, module);
  }
  return { build, module: await module };
}

async function compile(build: Build, shared: boolean): Promise<WebAssembly.Module> {
  const wasm = await inflateModule(embedded[build], shared);
  if (!WebAssembly.validate(wasm)) {
    throw new UnsupportedError(
      `Cannot run the ${build} kernels: expected an engine with WebAssembly ${build === "simd" ? "SIMD" : "relaxed SIMD"}, this one does not accept them`,
    );
  }
  return WebAssembly.compile(wasm);
}

/**
 * Whether this engine runs the relaxed dot exactly. Node 20 does so only in its optimizing compiler: its baseline compiler,
 * in which every function starts, gets it wrong in some register allocations, those of matvec_q4_0 among them (and not
 * matvec_q8_0's). Hence a small product of that kernel is computed once, cold, and compared with integer arithmetic.
 */
export async function relaxedDotIsExact(): Promise<boolean> {
  const wasm = await inflateModule(embedded.relaxed);
  if (!WebAssembly.validate(wasm)) return false;
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 2 });
  const kernels = await instantiateKernels(await WebAssembly.compile(wasm), memory);

  // eight rows of 32 weights with scale 1 against activations whose largest is 127, so that their scale is 1 too
  const [blocks, packed, x, encoded, out] = [0, 4096, 8192, 12_288, 16_384].map(
    (offset) => FIRST_PAGE_BYTES + offset,
  ) as [number, number, number, number, number];
  const weight = (row: number, col: number) => (row * 5 + col * 7 + row * col) % 16; // the nibble: 8 stands for 0
  const activation = (col: number) => (col === 0 ? 127 : ((col * 101) % 255) - 127);
  const view = new DataView(memory.buffer);
  for (let row = 0; row < 8; row++) {
    const block = blocks + row * 18;
    view.setUint16(block, 0x3c00, true); // 1 as f16
    for (let i = 0; i < 16; i++) view.setUint8(block + 2 + i, weight(row, i) | (weight(row, i + 16) << 4));
  }
  for (let col = 0; col < 32; col++) view.setFloat32(x + col * 4, activation(col), true);

  kernels.pack_q4_0(packed, blocks, 8, 32);
  kernels.encode_q4_0(encoded, x, 32, 1);
  kernels.matvec_q4_0(out, packed, encoded, 0, 8, 32);
  for (let row = 0; row < 8; row++) {
    let exact = 0;
    for (let col = 0; col < 32; col++) exact += (weight(row, col) - 8) * activation(col);
    if (view.getFloat32(out + row * 4, true) !== exact) return false;
  }
  return true;
}
