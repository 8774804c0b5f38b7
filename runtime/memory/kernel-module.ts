import { instantiate } from "@assemblyscript/loader";
import type { Kernels } from "../../kernels/generated/interface.js";
import { kernelImports } from "./kernel-imports.js";

export type { Kernels };

/** A build of the kernels as kernels/build.mjs embeds it. */
export interface EmbeddedModule {
  /** Raw deflated wasm in base64. */
  readonly deflated: string;
  /** Size of the wasm in bytes. */
  readonly bytes: number;
  /** Where the memory import says shared (3) or plain (1). */
  readonly memoryFlagOffset: number;
}

/** The kernels leave the first page of every memory alone: the debug build keeps its messages there. */
export const FIRST_PAGE_BYTES = 65_536;

/** The wasm bytes of a build, importing a plain memory or one that threads share. */
export async function inflateModule(
  embedded: EmbeddedModule,
  shared = false,
): Promise<Uint8Array<ArrayBuffer>> {
  const deflated = Uint8Array.from(atob(embedded.deflated), (c) => c.charCodeAt(0));
  const stream = new Blob([deflated]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const wasm = new Uint8Array(await new Response(stream).arrayBuffer());
  wasm[embedded.memoryFlagOffset] = shared ? 3 : 1;
  return wasm;
}

/** One instance of the kernels over a memory. Its raw exports: the loader's wrappers cost 10 ns a call. */
export async function instantiateKernels(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
): Promise<Kernels> {
  const { instance } = await instantiate(module, kernelImports(memory));
  return instance.exports as unknown as Kernels;
}
