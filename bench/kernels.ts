// Microbenchmarks of the kernels, each alone on one thread, beside the machine's own limits. What is measured, and what is not:
// README.md.

import { readFile, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { describeMachine, thisMachine } from "../cli/machine.js";
import { type Build, chooseBuild, exactBuilds } from "../runtime/memory/choose-build.js";
import { instantiateKernels, type Kernels } from "../runtime/memory/kernel-module.js";
import { Arena, type Region } from "./arena.js";
import { drawKernels, type KernelSpeed } from "./charts.js";
import { ARENA_BYTES, type KernelCase, kernelCases, type Work } from "./kernel-cases.js";
import { type LimitLoop, type Limits, openLimits } from "./limits.js";
import { measureInTurn, type Timing } from "./measure.js";

const help = `usage: node dist/bench/kernels.js [options]

  --only TEXT      only kernels whose name or shape contains TEXT ("matvec", "q4_0", "cache"); repeatable
  --build NAME     simd, relaxed or relaxed16; repeatable. Default: all that this engine runs exactly
  --wasm FILE      time another compiled kernel module beside them; repeatable
  --seconds S      time spent on each kernel and build, warming up not counted. Default 0.3
  --svg FILE       draw a roofline plot and the shares of the limits
  --help

Prints a table, and as its last line the same as JSON. "limit" is the time that reading the bytes alone, or the multiplications and
additions alone, would take by loops that do nothing else, in turn with the kernel; whichever is longer, as a share of the kernel's.
`;

interface Variant {
  readonly name: string;
  readonly kernels: Kernels;
  readonly limits: Limits;
}

interface Row extends Timing, KernelSpeed {
  /** By the median. */
  readonly gigabytesPerSecond: number;
  readonly nanosecondsPerElement: number;
  readonly stated: Work["stated"];
}

const { values: options } = parseArgs({
  options: {
    only: { type: "string", multiple: true },
    build: { type: "string", multiple: true },
    wasm: { type: "string", multiple: true },
    seconds: { type: "string", default: "0.3" },
    svg: { type: "string" },
    help: { type: "boolean" },
  },
});
if (options.help) process.stdout.write(help);
else await main();

async function main(): Promise<void> {
  const seconds = Number(options.seconds);
  if (!(seconds > 0)) {
    throw new RangeError(`--seconds: expected a number above 0, found ${options.seconds}`);
  }
  const wanted = kernelCases.filter(
    ({ kernel, shape }) => options.only?.some((text) => `${kernel} ${shape}`.includes(text)) ?? true,
  );
  if (wanted.length === 0) throw new RangeError(`--only: no kernel matches ${options.only!.join(", ")}`);

  const arena = new Arena(ARENA_BYTES);
  const variants = await openVariants(arena);
  const machine = thisMachine();
  console.log(`${describeMachine(machine)}; one thread, ${seconds} s a line`);
  console.log(columns("kernel", "shape", "build", "us/call", "rate", "spread", "GOP/s", "limit"));
  const rows: Row[] = [];
  const differing: string[] = [];
  for (const kernelCase of wanted) {
    const { timed, alike } = time(kernelCase, arena, variants, seconds);
    for (const row of timed) {
      console.log(printed(row));
      rows.push(row);
    }
    if (!alike) differing.push(`${kernelCase.kernel} ${kernelCase.shape}`);
  }
  if (variants.length > 1) {
    console.log(
      differing.length
        ? `results differ between the builds: ${differing.join("; ")}`
        : "results are bit-equal between the builds",
    );
  }
  if (differing.length) process.exitCode = 1;
  if (options.svg) await writeFile(options.svg, drawKernels(rows, describeMachine(machine)));
  console.log(JSON.stringify({ bench: "kernels", machine, seconds, bitEqual: differing.length === 0, rows }));
}

/** An instance of each build, over the arena's memory. */
async function openVariants(arena: Arena): Promise<Variant[]> {
  const variants: Variant[] = [];
  for (const build of await chooseBuilds()) {
    const { module } = await chooseBuild(build);
    const limits = await openLimits(build, arena.memory);
    variants.push({ name: build, kernels: await instantiateKernels(module, arena.memory), limits });
  }
  for (const path of options.wasm ?? []) {
    const module = await WebAssembly.compile(withPlainMemory(await readFile(path)));
    const kernels = await instantiateKernels(module, arena.memory);
    variants.push({ name: basename(path, ".wasm"), kernels, limits: variants[0]!.limits });
  }
  return variants;
}

async function chooseBuilds(): Promise<Build[]> {
  const exact = await exactBuilds();
  if (!options.build) return exact.toReversed();
  return options.build.map((name) => {
    const build = exact.find((found) => found === name);
    if (!build) {
      throw new RangeError(
        `--build: expected one that this engine runs exactly (${exact.join(", ")}), found ${name}`,
      );
    }
    return build;
  });
}

/** asc's output imports a shared memory; kernels/build.mjs explains the byte that says so. */
function withPlainMemory(wasm: Buffer): Uint8Array<ArrayBuffer> {
  const entry = Buffer.from("\x03env\x06memory\x02", "latin1");
  const at = wasm.indexOf(entry);
  if (at < 0) throw new TypeError("--wasm: expected a module that imports env.memory");
  const copy = new Uint8Array(wasm);
  copy[at + entry.length] = 1;
  return copy;
}

/** Times one kernel in every build, after comparing what they compute. */
function time(
  kernelCase: KernelCase,
  arena: Arena,
  variants: readonly Variant[],
  seconds: number,
): { timed: Row[]; alike: boolean } {
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
  const timed = bound.map((_, i): Row => {
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

function printed(row: Row): string {
  const { stated, gigabytesPerSecond, gigaoperationsPerSecond, nanosecondsPerElement } = row;
  const rate = {
    bytes: `${gigabytesPerSecond.toFixed(1)} GB/s`,
    operations: `${gigaoperationsPerSecond.toFixed(1)} GOP/s`,
    elements: `${nanosecondsPerElement.toFixed(3)} ns/el`,
  }[stated];
  const spread = (100 * (row.upperQuartile - row.lowerQuartile)) / row.median;
  return columns(
    row.kernel,
    row.shape,
    row.build,
    (row.median * 1000).toFixed(2),
    rate,
    `${spread.toFixed(0)} %`,
    stated !== "operations" && row.operations ? gigaoperationsPerSecond.toFixed(1) : "",
    `${(100 * row.share).toFixed(0)} % ${row.bound}`,
  );
}

function columns(...cells: [string, string, string, string, string, string, string, string]): string {
  const widths = [-14, -46, -10, 11, 14, 7, 7, 15];
  return cells
    .map((cell, i) => (widths[i]! < 0 ? cell.padEnd(-widths[i]!) : cell.padStart(widths[i]!)))
    .join(" ")
    .trimEnd();
}
