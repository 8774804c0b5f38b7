// Times kernels in a worker, so that the page stays at hand. One order comes in, many reports go out; ended from outside.

import { Arena } from "../bench/arena.js";
import { ARENA_BYTES } from "../bench/kernel-cases.js";
import { casesWith, type KernelRow, openExactBuilds, timeKernel } from "../bench/measure-kernels.js";

export interface KernelsOrder {
  /** Texts that a kernel's name and shape may contain; none for all. */
  readonly only: readonly string[];
  readonly seconds: number;
}

/** One kernel's times, a row for each build; `alike` when these gave the same bits. */
export interface KernelsTimed {
  readonly kind: "timed";
  readonly timed: readonly KernelRow[];
  readonly alike: boolean;
  /** Kernels to be timed in all. */
  readonly of: number;
}

export type KernelsReport =
  | KernelsTimed
  | { readonly kind: "failed"; readonly reason: string }
  | { readonly kind: "ended" };

const tell = (report: KernelsReport) => postMessage(report);

async function measure({ only, seconds }: KernelsOrder): Promise<void> {
  const wanted = casesWith(only);
  const arena = new Arena(ARENA_BYTES);
  const variants = await openExactBuilds(arena);
  for (const kernelCase of wanted) {
    tell({ kind: "timed", ...timeKernel(kernelCase, arena, variants, seconds), of: wanted.length });
  }
  tell({ kind: "ended" });
}

addEventListener("message", ({ data }: MessageEvent<KernelsOrder>) => {
  measure(data).catch((error: unknown) => tell({ kind: "failed", reason: String(error) }));
});
