// Compiles kernels/ once per target of asconfig.json and writes kernels/generated/:
//   interface.ts               the exports' typed interface, the same for every build
//   builds.ts                  the bytes of simd, relaxed and relaxed16, interleaved function by function, which are much the same: deflated
//                              together they take 58 % of what they take one by one; then in base64 (that of raw wasm compresses 1.5 times worse)
//   debug.ts                   the debug build's
//   simd.wat ...               the compiled text, which a test reads
// and limits.ts to bench/generated/: interface and bytes of kernels/limits.ts, which only the microbenchmarks load.
//
// asc runs without its optimizer, Binaryen: it makes these kernels up to twice slower on V8 13 and later, by bringing vector
// constants back into the loops and reordering loads until registers spill. One of its passes does no such thing and is run: coalesce-locals lets
// values share locals, which asc numbers anew for every call that it writes out; deflated, the builds are half as large for it, and as fast.
// Measured per kernel in bench/LOG.md; measure again with each new asc.

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

/** A module cut up: what comes before its functions, each function, what comes after. */
function piecesOf(wasm) {
  let at = 8; // after the magic number and the version
  const count = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = wasm[at++];
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  const edges = [0];
  while (at < wasm.length) {
    const isCode = wasm[at++] === 10;
    const bytes = count();
    const end = at + bytes;
    if (isCode) {
      for (let functions = count(); functions > 0; functions--) {
        edges.push(at);
        const length = count();
        at += length;
      }
      edges.push(at);
    }
    at = end;
  }
  edges.push(wasm.length);
  return edges.slice(1).map((end, i) => wasm.subarray(edges[i], end));
}

/** The pieces of all modules in turn, each after its length in two bytes: what runtime/memory/kernel-module.ts takes apart. */
function interleaved(modules) {
  const pieces = modules.map(piecesOf);
  const stream = [];
  for (let i = 0; i < Math.max(...pieces.map(({ length }) => length)); i++) {
    for (const { [i]: piece = new Uint8Array(0) } of pieces) {
      if (piece.length >= 2 ** 16) throw new Error(`expected functions below 64 KiB, found ${piece.length}`);
      stream.push(Uint8Array.of(piece.length & 255, piece.length >> 8), piece);
    }
  }
  return Buffer.concat(stream);
}

/** Modules as source text: the constants that runtime/memory/kernel-module.ts inflates, by their names. */
function embedded(modules) {
  const names = Object.keys(modules);
  const base64 = deflateRawSync(interleaved(Object.values(modules)), { level: 9 }).toString("base64");
  console.error(`kernels: ${names.join(", ")}: ${base64.length} embedded`);
  const constants = names.map((name, part) => {
    const { length } = modules[name];
    return `export const ${name} = {\n  memoryFlagOffset: ${memoryFlagOffset(modules[name])},\n  bytes: ${length},\n  part: ${part},\n  parts: ${names.length},\n  deflated,\n};\n`;
  });
  return [`const deflated =\n  "${base64}";\n`, ...constants].join("\n");
}

for (const made of [folder, benchFolder]) {
  await rm(made, { recursive: true, force: true });
  await mkdir(made, { recursive: true });
}
const shipped = {};
for (const target of ["simd", "relaxed", "relaxed16", "debug"]) {
  const files = await compile("kernels/index.ts", target);
  const wasm = files.get(`${target}.wasm`);
  await writeFile(`${folder}${target}.wat`, files.get(`${target}.wat`));
  if (target === "debug") await writeFile(`${folder}debug.ts`, `${header}\n${embedded({ debug: wasm })}`);
  else shipped[target] = wasm;
  if (target === "simd") {
    await writeFile(
      `${folder}interface.ts`,
      `${header}\n${typedInterface("Kernels", files.get("simd.d.ts"))}`,
    );
  }
}
await writeFile(`${folder}builds.ts`, `${header}\n${embedded(shipped)}`);

const limits = {};
let limitsInterface = "";
for (const target of ["simd", "relaxed", "relaxed16"]) {
  const files = await compile("kernels/limits.ts", target);
  if (target === "simd") limitsInterface = typedInterface("LimitKernels", files.get("simd.d.ts"));
  limits[`${target}Limits`] = files.get(`${target}.wasm`);
}
await writeFile(`${benchFolder}limits.ts`, [header, limitsInterface, embedded(limits)].join("\n"));
