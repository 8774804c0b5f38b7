import type { Kernels } from "../../kernels/generated/interface.js";
import { kernelImports } from "./kernel-imports.js";

export type { Kernels };

/** A build of the kernels as kernels/build.mjs embeds it. */
export interface EmbeddedModule {
  /** In base64, raw deflated: several modules that are much alike, cut up at the same places and interleaved. */
  readonly deflated: string;
  /** How many they are, and which of them this one is, from 0 on. */
  readonly parts: number;
  readonly part: number;
  /** Size of the wasm in bytes. */
  readonly bytes: number;
  /** Where the memory import says shared (3) or plain (1). */
  readonly memoryFlagOffset: number;
}

/** The kernels leave the first page of every memory alone: the debug build keeps its messages there. */
export const FIRST_PAGE_BYTES = 65_536;

/** What has been inflated: who chooses a build looks at several, which are in one stream. */
const streams = new Map<string, Promise<Uint8Array>>();

/** The wasm bytes of a build, importing a plain memory or one that threads share. */
export async function inflateModule(
  embedded: EmbeddedModule,
  shared = false,
): Promise<Uint8Array<ArrayBuffer>> {
  const { deflated, memoryFlagOffset } = embedded;
  const stream = streams.get(deflated) ?? inflate(deflated);
  streams.set(deflated, stream);
  const wasm = takeOut(await stream, embedded);
  wasm[memoryFlagOffset] = shared ? 3 : 1;
  return wasm;
}

async function inflate(base64: string): Promise<Uint8Array> {
  const deflated = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const stream = new Blob([deflated]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** One of the modules. The stream is pieces of each of them in turn, after their lengths in two bytes. */
function takeOut(stream: Uint8Array, { part, parts, bytes }: EmbeddedModule): Uint8Array<ArrayBuffer> {
  const wasm = new Uint8Array(bytes);
  let filled = 0;
  for (let at = 0, piece = 0; at < stream.length; piece++) {
    const begin = at + 2;
    const end = begin + (stream[at]! | (stream[at + 1]! << 8));
    if (piece % parts === part) {
      wasm.set(stream.subarray(begin, end), filled);
      filled += end - begin;
    }
    at = end;
  }
  return wasm;
}

/** One instance of the kernels over a memory. Its raw exports: the loader's wrappers cost 10 ns a call. */
export async function instantiateKernels(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
): Promise<Kernels> {
  const instantiate = await loader();
  const { instance } = await instantiate(module, kernelImports(memory));
  return instance.exports as unknown as Kernels;
}

type Instantiate = (
  module: WebAssembly.Module,
  imports: ReturnType<typeof kernelImports>,
) => Promise<{ readonly instance: WebAssembly.Instance }>;

let found: Promise<Instantiate> | undefined;

/**
 * AssemblyScript's loader. A worker of a page without a bundler has no name for it, since import maps don't reach workers; the engine's own
 * function does there, as the raw exports are all that is used.
 */
function loader(): Promise<Instantiate> {
  found ??= import("@assemblyscript/loader").then(
    ({ instantiate }): Instantiate => instantiate,
    () => async (module, imports) => ({ instance: await WebAssembly.instantiate(module, imports) }),
  );
  return found;
}
