// One number for what a model computes, to compare engines with: the same on every machine, or something is wrong.

import { openCheckpoint } from "../runtime/formats/open.js";
import { bytesSource } from "../runtime/formats/source.js";
import { type Build, exactBuilds } from "../runtime/memory/choose-build.js";
import { forward } from "../runtime/model/forward.js";
import { loadLlama } from "../runtime/model/llama.js";

export interface LogitsHash {
  readonly build: Build;
  readonly threads: number;
  /** Positions that forward took at once. */
  readonly chunk: number;
  /** SHA-256 of the logits of all positions, as f32. */
  readonly hash: string;
}

/** Positions that are fed; enough that threads share the attention, too. */
const POSITIONS = 96;
/** All at once, in chunks that are no whole tiles, token by token. */
const CHUNKS = [POSITIONS, 7, 1];

/** The logits' hashes of a model, for all builds that this engine runs exactly, these numbers of threads, and all ways to feed ids. */
export async function logitsHashes(
  model: Uint8Array,
  threadCounts: readonly number[],
): Promise<LogitsHash[]> {
  const checkpoint = await openCheckpoint(bytesSource(model, "model"));
  const { vocabSize } = checkpoint.config;
  const ids = Array.from({ length: POSITIONS }, (_, i) => (i * 37 + 1) % vocabSize);
  const hashes: LogitsHash[] = [];
  for (const build of await exactBuilds()) {
    for (const threads of threadCounts) {
      const llama = await loadLlama(checkpoint, {
        contextLength: POSITIONS,
        batch: POSITIONS,
        build,
        threads,
      });
      try {
        for (const chunk of CHUNKS) {
          const logits = new Float32Array(POSITIONS * vocabSize);
          for (let position = 0; position < POSITIONS; position += chunk) {
            const fed = ids.slice(position, position + chunk);
            logits.set(forward(llama, fed, position, 0), position * vocabSize);
          }
          hashes.push({ build, threads, chunk, hash: await sha256(logits) });
        }
      } finally {
        await llama.dispose();
      }
    }
  }
  return hashes;
}

async function sha256(numbers: Float32Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", numbers));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
