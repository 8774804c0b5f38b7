// Hashes of what this engine computes, to hold against another's: one hash for each type, whatever the build, the number of threads
// and the way in which ids are fed. Ends with exit code 1 where a type has two.

import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { logitsHashes } from "./logits-hash.js";

const paths = process.argv.slice(2);
if (paths.length === 0) throw new TypeError("expected models: node dist/bench/determinism.js MODEL...");
const perModel: Record<string, string> = {};
for (const path of paths) {
  const hashes = await logitsHashes(await readFile(path), [1, 2, 4]);
  const different = new Set(hashes.map(({ hash }) => hash));
  if (different.size > 1) {
    process.exitCode = 1;
    console.error(`${path}: expected one hash, found ${different.size}`, hashes);
  }
  perModel[basename(path)] = hashes[0]!.hash;
}
console.log(JSON.stringify(perModel));
