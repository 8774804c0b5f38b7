// Timing kernels against the machine's limits. Nothing here needs Node: the page measures by it too.

import type { Build } from "../runtime/memory/choices.js";
import { chooseBuild, exactBuilds } from "../runtime/memory/choose-build.js";
import { instantiateKernels, type Kernels } from "../runtime/memory/kernel-module.js";
import type { Arena, Region } from "./arena.js";
import type { KernelSpeed } from "./charts.js";
import { type KernelCase, kernelCases, type Work } from "./kernel-cases.js";
import { type LimitLoop, type Limits, openLimits } from "./limits.js";
import { measureInTurn, type Timing } from "./measure.js";

/** A build of the kernels, over the arena's memory. */
export interface Variant {
  readonly name: string;
  readonly kernels: Kernels;
  readonly limits: Limits;
}

/** A kernel at one shape in one build. */
export interface KernelRow extends Timing, KernelSpeed {
  /** By the median. */
  readonly gigabytesPerSecond: number;
  readonly nanosecondsPerElement: number;
  readonly stated: Work["stated"];
}

/** The cases whose kernel or shape contains one of the texts; all, where there are none. Throws RangeError when none does. */
export function casesWith(texts: readonly string[]): readonly KernelCase[] {
  if (texts.length === 0) return kernelCases;
  const found = kernelCases.filter(({ kernel, shape }) =>
    texts.some((text) => `${kernel} ${shape}`.includes(text)),
  );
  if (found.length === 0) throw new RangeError(`--only: no kernel matches ${texts.join(", ")}`);
  return found;
}

export async function openBuild(build: Build, arena: Arena): Promise<Variant> {
  const { module } = await chooseBuild(build);
  const limits = await openLimits(build, arena.memory);
  return { name: build, kernels: await instantiateKernels(module, arena.memory), limits };
}

/** The builds that this engine runs exactly, the plain one first. */
export async function openExactBuilds(arena: Arena): Promise<Variant[]> {
  const variants: Variant[] = [];
  for (const build of (await exactBuilds()).toReversed()) variants.push(await openBuild(build, arena));
  return variants;
}

/** Times one kernel in every build, after comparing what they compute. */
export function timeKernel(
  kernelCase: KernelCase,
  arena: Arena,
  variants: readonly Variant[],
  seconds: number,
): { timed: KernelRow[]; alike: boolean } {
  arena.reset();
  const bind = kernelCase.lay(arena, variants[0]!.kernels);
  const bound = variants.map(({ kernels }) => bind(kernels));
  const hashes = bound.map(({ call, out, comparable = true }) => {
    call();
    const hash = hashOf(kernelCase, arena, out);
    return comparable ? hash : 0;
  });
  const { kernel, shape, work } = kernelCase;
  const { bytes, span = bytes, operations, numbers, elements, stated } = work;
  // the builds read alike, and compute each by their own instructions
  const reading = variants[0]!.limits.reading(span);
  const computing = variants.map(({ limits }) => limits.computing(numbers));
  const timings = measureInTurn(
    [...bound, reading, ...computing].map(({ call }) => call),
    seconds,
  );
  const rate = ({ amount }: LimitLoop, { median }: Timing) => amount / median / 1e6;
  const readLimit = rate(reading, timings[bound.length]!);
  const timed = bound.map((_, i): KernelRow => {
    const timing = timings[i]!;
    const ms = timing.median;
    const computeLimit = rate(computing[i]!, timings[bound.length + 1 + i]!);
    const readMs = bytes / readLimit / 1e6;
    const computeMs = operations / computeLimit / 1e6;
    return {
      kernel,
      shape,
      build: variants[i]!.name,
      ...timing,
      gigabytesPerSecond: bytes / ms / 1e6,
      gigaoperationsPerSecond: operations / ms / 1e6,
      nanosecondsPerElement: (ms * 1e6) / elements,
      stated,
      bytes,
      span,
      operations,
      numbers,
      readLimit,
      computeLimit,
      bound: readMs >= computeMs ? "reading" : "computing",
      share: Math.max(readMs, computeMs) / ms,
    };
  });
  return { timed, alike: hashes.every((hash) => hash === hashes[0]) };
}

/** A hash of the output (FNV-1a over words). Throws when the kernel has not written anything. */
function hashOf({ kernel }: KernelCase, arena: Arena, out: Region): number {
  let hash = 0x811c9dc5;
  let written = 0;
  for (const word of arena.words(out)) {
    written |= word;
    hash = Math.imul(hash ^ word, 0x01000193);
  }
  if (written === 0) throw new Error(`${kernel} wrote nothing but zeros`);
  return hash >>> 0;
}

/** What the columns of a table are called. */
export const columnNames = [
  "kernel",
  "shape",
  "build",
  "us/call",
  "rate",
  "spread",
  "GOP/s",
  "limit",
] as const;

/** A row's cells, one for each column. */
export function cellsOf(row: KernelRow): string[] {
  const { stated, gigabytesPerSecond, gigaoperationsPerSecond, nanosecondsPerElement } = row;
  const rate = {
    bytes: `${gigabytesPerSecond.toFixed(1)} GB/s`,
    operations: `${gigaoperationsPerSecond.toFixed(1)} GOP/s`,
    elements: `${nanosecondsPerElement.toFixed(3)} ns/el`,
  }[stated];
  const spread = (100 * (row.upperQuartile - row.lowerQuartile)) / row.median;
  return [
    row.kernel,
    row.shape,
    row.build,
    (row.median * 1000).toFixed(2),
    rate,
    `${spread.toFixed(0)} %`,
    stated !== "operations" && row.operations ? gigaoperationsPerSecond.toFixed(1) : "",
    `${(100 * row.share).toFixed(0)} % ${row.bound}`,
  ];
}
