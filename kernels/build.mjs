// Compiles kernels/ once per target of asconfig.json and writes kernels/generated/:
//   interface.ts               the exports' typed interface, the same for every build
//   simd.ts relaxed.ts relaxed16.ts debug.ts  the bytes, deflated and then in base64 (base64 of raw wasm compresses 1.5 times worse)
//   simd.wat ...               the compiled text, which a test reads
// and limits.ts to bench/generated/: interface and bytes of kernels/limits.ts, which only the microbenchmarks load.
//
// asc runs without its optimizer, Binaryen: it makes these kernels up to twice slower on V8 13 and later, by bringing vector
// constants back into the loops and reordering loads until registers spill. Measured per kernel in bench/LOG.md;
// measure again with each new asc.

import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { deflateRawSync } from "node:zlib";
import asc from "assemblyscript/asc";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = `${root}kernels/generated/`;
const benchFolder = `${root}bench/generated/`;
const header = "// Written by kernels/build.mjs.\n";

/** Runs asc on a file for one target; the files it writes, by name. */
async function compile(entry, target) {
  const files = new Map();
  const args = [
    entry,
    "--config",
    "asconfig.json",
    "--target",
    target,
    "--baseDir",
    root,
    "--bindings",
    "raw",
  ];
  const { error, stderr } = await asc.main(
    [...args, "--outFile", `${target}.wasm`, "--textFile", `${target}.wat`],
    {
      readFile: (name, base) => readFile(`${base}/${name}`, "utf8").catch(() => null),
      writeFile: (name, contents) => files.set(name, contents),
    },
  );
  if (error) throw new Error(`asc ${entry} --target ${target}: ${error.message}\n${stderr.toString()}`);
  return files;
}

/** The interface of the exports, from the declarations that asc writes. */
function typedInterface(name, declarations) {
  const methods = declarations.matchAll(
    /(\/\*\*(?:(?!\*\/)[\s\S])*\*\/)\s*export function (\w+\([^)]*\): \w+;)/g,
  );
  const lines = [...methods].map(([, , signature]) => `  ${signature}\n`);
  return `/** The kernels' exports. Addresses and counts are u32; what each does stands in its file. */\nexport interface ${name} {\n${lines.join("")}}\n`;
}

/** Offset of the byte that says whether the imported memory is shared (3) or plain (1): one binary serves both. */
function memoryFlagOffset(wasm) {
  const entry = Buffer.from("\x03env\x06memory\x02\x03", "latin1"); // module, name, kind 2 = memory, flags
  const at = Buffer.from(wasm).indexOf(entry);
  if (at < 0 || Buffer.from(wasm).indexOf(entry, at + 1) >= 0) {
    throw new Error("expected exactly one import of a shared memory named env.memory");
  }
  return at + entry.length - 1;
}

/** A module as source text: the constant that runtime/memory/kernel-module.ts inflates. */
function embedded(name, wasm) {
  const base64 = deflateRawSync(wasm, { level: 9 }).toString("base64");
  console.error(`kernels: ${name} ${wasm.length} bytes of wasm, ${base64.length} embedded`);
  return `export const ${name} = {\n  memoryFlagOffset: ${memoryFlagOffset(wasm)},\n  bytes: ${wasm.length},\n  deflated:\n    "${base64}",\n};\n`;
}

for (const made of [folder, benchFolder]) {
  await rm(made, { recursive: true, force: true });
  await mkdir(made, { recursive: true });
}
for (const target of ["simd", "relaxed", "relaxed16", "debug"]) {
  const files = await compile("kernels/index.ts", target);
  await writeFile(`${folder}${target}.wat`, files.get(`${target}.wat`));
  await writeFile(`${folder}${target}.ts`, `${header}\n${embedded(target, files.get(`${target}.wasm`))}`);
  if (target === "simd") {
    await writeFile(
      `${folder}interface.ts`,
      `${header}\n${typedInterface("Kernels", files.get("simd.d.ts"))}`,
    );
  }
}

const parts = [header];
for (const target of ["simd", "relaxed", "relaxed16"]) {
  const files = await compile("kernels/limits.ts", target);
  if (target === "simd") parts.push(typedInterface("LimitKernels", files.get("simd.d.ts")));
  parts.push(embedded(`${target}Limits`, files.get(`${target}.wasm`)));
}
await writeFile(`${benchFolder}limits.ts`, parts.join("\n"));
