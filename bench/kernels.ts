// Microbenchmarks of the kernels, each alone on one thread, beside the machine's own limits. What is measured, and what is not:
// README.md.

import { readFile, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { describeMachine, thisMachine } from "../cli/machine.js";
import type { Build } from "../runtime/memory/choices.js";
import { exactBuilds } from "../runtime/memory/choose-build.js";
import { instantiateKernels } from "../runtime/memory/kernel-module.js";
import { Arena } from "./arena.js";
import { drawKernels } from "./charts.js";
import { ARENA_BYTES } from "./kernel-cases.js";
import {
  casesWith,
  cellsOf,
  columnNames,
  type KernelRow,
  openBuild,
  timeKernel,
  type Variant,
} from "./measure-kernels.js";

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
  const wanted = casesWith(options.only ?? []);

  const arena = new Arena(ARENA_BYTES);
  const variants = await openVariants(arena);
  const machine = thisMachine();
  console.log(`${describeMachine(machine)}; one thread, ${seconds} s a line`);
  console.log(line(columnNames));
  const rows: KernelRow[] = [];
  const differing: string[] = [];
  for (const kernelCase of wanted) {
    const { timed, alike } = timeKernel(kernelCase, arena, variants, seconds);
    for (const row of timed) {
      console.log(line(cellsOf(row)));
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

/** The builds, and modules that are timed beside them. */
async function openVariants(arena: Arena): Promise<Variant[]> {
  const variants: Variant[] = [];
  for (const build of await chosenBuilds()) variants.push(await openBuild(build, arena));
  for (const path of options.wasm ?? []) {
    const module = await WebAssembly.compile(withPlainMemory(await readFile(path)));
    const kernels = await instantiateKernels(module, arena.memory);
    variants.push({ name: basename(path, ".wasm"), kernels, limits: variants[0]!.limits });
  }
  return variants;
}

async function chosenBuilds(): Promise<Build[]> {
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

/** Cells in columns. */
function line(cells: readonly string[]): string {
  const widths = [-14, -46, -10, 11, 14, 7, 7, 15];
  return cells
    .map((cell, i) => (widths[i]! < 0 ? cell.padEnd(-widths[i]!) : cell.padStart(widths[i]!)))
    .join(" ")
    .trimEnd();
}
