// Compiles kernels/ once per target of asconfig.json and writes kernels/generated/:
//   interface.ts               the exports' typed interface, the same for every build
//   simd.ts relaxed.ts relaxed16.ts debug.ts  the bytes, deflated and then in base64 (base64 of raw wasm compresses 1.5 times worse)
//   simd.wat ...               the compiled text, which a test reads
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
const header = "// Written by kernels/build.mjs.\n";

/** Runs asc on one target; the files it writes, by name. */
async function compile(target) {
  const files = new Map();
  const args = ["--config", "asconfig.json", "--target", target, "--baseDir", root, "--bindings", "raw"];
  const { error, stderr } = await asc.main(
    [...args, "--outFile", `${target}.wasm`, "--textFile", `${target}.wat`],
    {
      readFile: (name, base) => readFile(`${base}/${name}`, "utf8").catch(() => null),
      writeFile: (name, contents) => files.set(name, contents),
    },
  );
  if (error) throw new Error(`asc --target ${target}: ${error.message}\n${stderr.toString()}`);
  return files;
}

/** The interface of the exports, from the declarations that asc writes. */
function typedInterface(declarations) {
  const methods = declarations.matchAll(
    /(\/\*\*(?:(?!\*\/)[\s\S])*\*\/)\s*export function (\w+\([^)]*\): \w+;)/g,
  );
  const lines = [...methods].map(([, , signature]) => `  ${signature}\n`);
  return `${header}\n/** The kernels' exports. Addresses and counts are u32; what each does stands in its file. */\nexport interface Kernels {\n${lines.join("")}}\n`;
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

await rm(folder, { recursive: true, force: true });
await mkdir(folder, { recursive: true });
for (const target of ["simd", "relaxed", "relaxed16", "debug"]) {
  const files = await compile(target);
  const wasm = files.get(`${target}.wasm`);
  const base64 = deflateRawSync(wasm, { level: 9 }).toString("base64");
  await writeFile(`${folder}${target}.wat`, files.get(`${target}.wat`));
  await writeFile(
    `${folder}${target}.ts`,
    `${header}\nexport const ${target} = {\n  memoryFlagOffset: ${memoryFlagOffset(wasm)},\n  bytes: ${wasm.length},\n  deflated:\n    "${base64}",\n};\n`,
  );
  if (target === "simd") await writeFile(`${folder}interface.ts`, typedInterface(files.get("simd.d.ts")));
  console.error(`kernels: ${target} ${wasm.length} bytes of wasm, ${base64.length} embedded`);
}
