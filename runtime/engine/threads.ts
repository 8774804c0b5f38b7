import { checkCount } from "../check-options.js";
import type { Checkpoint } from "../formats/checkpoint.js";

/** More than any of today's machines makes use of: decoding is bound by memory. */
const MAX_THREADS = 64;
/** Without being asked for. */
const DEFAULT_MAX_THREADS = 16;
/** Weights below which a second thread does not pay: a pass is then a fraction of a millisecond, in pieces too small to share. */
const SMALL_MODEL_BYTES = 8e6;

/** Throws a TypeError or a RangeError. */
export function checkThreads(threads: number | undefined): void {
  checkCount("load", "threads", threads, 1);
  if (threads !== undefined && threads > MAX_THREADS) {
    throw new RangeError(`Cannot load: expected threads to be at most ${MAX_THREADS}, found ${threads}`);
  }
}

/** How many threads compute a model: as many as asked for, or as pay here. */
export function threadsFor(checkpoint: Checkpoint, asked: number | undefined): number {
  if (!canShareMemory()) return 1;
  if (asked !== undefined) return asked;
  let bytes = 0;
  for (const tensor of checkpoint.tensors.values()) bytes += tensor.bytes;
  return bytes < SMALL_MODEL_BYTES ? 1 : Math.min(cores(), DEFAULT_MAX_THREADS);
}

/** Node always can; a page when it is cross-origin isolated. */
export function canShareMemory(): boolean {
  return typeof SharedArrayBuffer === "function" && globalThis.crossOriginIsolated !== false;
}

function cores(): number {
  const os = globalThis.process?.getBuiltinModule?.("node:os");
  return os ? os.availableParallelism() : (navigator.hardwareConcurrency ?? 1);
}
