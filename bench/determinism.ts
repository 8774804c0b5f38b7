// Hashes of what this engine computes, to hold against another's: one for each model and type of cache, whatever the build, the number of
// threads and of stages, and the way in which ids are fed. Ends with exit code 1 where there are two.

import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { logitsHashes } from "./logits-hash.js";

const paths = process.argv.slice(2);
if (paths.length === 0) throw new TypeError("expected models: node dist/bench/determinism.js MODEL...");
const hashes: Record<string, string> = {};
const ways = new Set<string>();
for (const path of paths) {
  for (const { cacheType, how, hash } of await logitsHashes(await readFile(path), [1, 2, 4])) {
    const name = `${basename(path)}, ${cacheType} cache`;
    hashes[name] ??= hash;
    ways.add(how);
    if (hashes[name] === hash) continue;
    process.exitCode = 1;
    console.error(`${name}: expected ${hashes[name]} in every way, found ${hash} with ${how}`);
  }
}
console.log(JSON.stringify({ hashes, ways: [...ways] }));
