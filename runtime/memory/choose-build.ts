import { relaxed, relaxed16, simd } from "../../kernels/generated/builds.js";
import { UnsupportedError } from "../errors.js";
import type { Build } from "./choices.js";
import { FIRST_PAGE_BYTES, inflateModule, instantiateKernels, type Kernels } from "./kernel-module.js";

export interface ChosenBuild {
  readonly build: Build;
  readonly module: WebAssembly.Module;
}

const embedded = { simd, relaxed, relaxed16 };
const compiled = new Map<string, Promise<WebAssembly.Module>>();
let exact: Promise<readonly Build[]> | undefined;

/**
 * The build that runs best here, compiled for plain or for shared memories: a relaxed one where the engine knows it and computes it
 * right. A build asked for by name is taken as it is. Throws UnsupportedError where the engine lacks WebAssembly SIMD.
 */
export async function chooseBuild(asked?: Build, shared = false): Promise<ChosenBuild> {
  if (!asked)
    exact ??= forgetting(exactBuilds(), () => {
      exact = undefined;
    });
  const build = asked ?? (await exact!)[0]!;
  const key = `${build}, ${shared ? "shared" : "plain"}`;
  let module = compiled.get(key);
  if (!module) {
    module = forgetting(compile(build, shared), () => compiled.delete(key));
    compiled.set(key, module);
  }
  return { build, module: await module };
}

/** The promise, which is forgotten when it rejects: what failed for want of memory may work later. */
function forgetting<T>(promise: Promise<T>, forget: () => void): Promise<T> {
  promise.catch(forget);
  return promise;
}

async function compile(build: Build, shared: boolean): Promise<WebAssembly.Module> {
  checkEngine();
  const wasm = await inflateModule(embedded[build], shared);
  if (!WebAssembly.validate(wasm)) {
    throw new UnsupportedError(
      `Cannot run the ${build} kernels: expected an engine with WebAssembly ${build === "simd" ? "SIMD" : "relaxed SIMD"}, this one does not accept them`,
    );
  }
  try {
    return await WebAssembly.compile(wasm);
  } catch (cause) {
    // a valid module, so it is not the bytes that the engine objects to: CompileError is what a page's policy gives
    if (!(cause instanceof WebAssembly.CompileError)) throw cause;
    throw new UnsupportedError(
      `Cannot compile the kernels: expected a Content-Security-Policy whose script-src has 'wasm-unsafe-eval', found one without it (${cause.message})`,
      { cause },
    );
  }
}

/** Engines have these by the time they have WebAssembly SIMD; but some let people switch WebAssembly off. */
function checkEngine(): void {
  for (const name of ["WebAssembly", "DecompressionStream"]) {
    if (name in globalThis) continue;
    throw new UnsupportedError(`Cannot run the kernels: expected an engine with ${name}, this one has none`);
  }
}

/** The builds that this engine runs exactly, the fastest first. */
export async function exactBuilds(): Promise<Build[]> {
  checkEngine();
  const wasm = await inflateModule(embedded.relaxed);
  if (!WebAssembly.validate(wasm)) return ["simd"];
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 2 });
  const [kernels, kernels16] = await Promise.all(
    (["relaxed", "relaxed16"] as const).map(async (build) =>
      instantiateKernels((await chooseBuild(build)).module, memory),
    ),
  );
  if (!productIsExact(kernels!, memory)) return ["simd"];
  if (!productIsExact(kernels16!, memory)) return ["relaxed", "simd"];
  return dotSaturates(kernels!, memory) ? ["relaxed16", "relaxed", "simd"] : ["relaxed", "relaxed16", "simd"];
}

/** Where the small products below have their parts. */
const [blocks, packed, x, encoded, out] = [0, 4096, 8192, 12_288, 16_384].map(
  (offset) => FIRST_PAGE_BYTES + offset,
) as [number, number, number, number, number];

/**
 * Whether this engine runs the relaxed dot exactly. Node 20 does so only in its optimizing compiler: its baseline compiler,
 * in which every function starts, gets it wrong in some register allocations, those of matvec_q4_0 among them (and not
 * matvec_q8_0's). Hence a small product of that kernel is computed once, cold, and compared with integer arithmetic.
 */
function productIsExact(kernels: Kernels, memory: WebAssembly.Memory): boolean {
  // eight rows of 32 weights with scale 1 against activations whose largest is 127, so that their scale is 1 too
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

/**
 * Whether the dot with 32-bit sums is made of x86's old instructions (vpmaddubsw and more, as V8 does without AVX-VNNI), by a
 * product that no kernel forms: where an operand that should be within 0..127 is 255, they and no others saturate, at 2^15 - 1 for
 * two bytes.
 */
function dotSaturates(kernels: Kernels, memory: WebAssembly.Memory): boolean {
  // eight rows of 32 weights of 127 with scale 1, and activations made by hand: 255 as positive parts, 0 as negative ones
  const view = new DataView(memory.buffer);
  for (let row = 0; row < 8; row++) {
    const block = blocks + row * 34;
    view.setUint16(block, 0x3c00, true);
    for (let i = 0; i < 32; i++) view.setInt8(block + 2 + i, 127);
  }
  for (let group = 0; group < 16; group++) view.setInt32(encoded + group * 4, group % 2 ? 0 : -1, true);
  view.setFloat32(encoded + 64, 2 ** 112, true);
  kernels.pack_q8_0(packed, blocks, 8, 32);
  kernels.matvec_q8_0(out, packed, encoded, 0, 8, 32);
  return view.getFloat32(out, true) === 16 * (2 ** 15 - 1);
}
