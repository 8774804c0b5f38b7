import { cacheRowBytes, type KvCache } from "../memory/kv-cache.js";
import type { Llama } from "./llama.js";

// Keys and values on their way out of a model's memory and back into it: layer by layer keys, then values, each
// [nKvHeads, positions] rows as the cache's type has them. So they fit every model that has the same weights and the same type
// of cache, whatever its context, stages and threads.

/** Bytes that the keys and values of so many positions take. */
export function cacheBytes({ config, plan }: Pick<Llama, "config" | "plan">, positions: number): number {
  const { nLayers, nKvHeads, headDim } = config;
  return 2 * nLayers * nKvHeads * positions * cacheRowBytes(plan.cacheType, headDim);
}

/** A copy of the keys and values of positions 0 to `positions` - 1. Throws RangeError where the engine grants no memory for it. */
export function readCache(llama: Llama, positions: number): Uint8Array {
  const out = new Uint8Array(cacheBytes(llama, positions));
  let at = 0;
  for (const rows of headRows(llama, positions)) {
    out.set(rows, at);
    at += rows.length;
  }
  return out;
}

/** Puts the first `positions` of a copy back, of the `copied` that it has. */
export function writeCache(llama: Llama, copy: Uint8Array, copied: number, positions = copied): void {
  const expected = cacheBytes(llama, copied);
  if (copy.length !== expected || positions > copied || copied > llama.plan.contextLength) {
    throw new RangeError(
      `Cannot put keys and values back: expected ${expected} bytes for ${copied} positions, found ${copy.length}`,
    );
  }
  let at = 0;
  for (const rows of headRows(llama, copied)) {
    const wanted = (rows.length / copied) * positions;
    rows.set(copy.subarray(at, at + wanted));
    at += rows.length;
  }
}

/** Views of the first positions of each head's keys and values in the stages' memories. */
function* headRows(llama: Llama, positions: number): Generator<Uint8Array, void, undefined> {
  for (const { layers } of llama.stages) {
    for (const { keys, values } of layers) {
      for (const cache of [keys, values]) yield* rowsOf(cache, positions);
    }
  }
}

function* rowsOf(
  { stage, address, type, heads, contextLength, headDim }: KvCache,
  positions: number,
): Generator<Uint8Array, void, undefined> {
  const rowBytes = cacheRowBytes(type, headDim);
  for (let head = 0; head < heads; head++) {
    const begin = address + head * contextLength * rowBytes;
    yield stage.bytes.subarray(begin, begin + positions * rowBytes);
  }
}
