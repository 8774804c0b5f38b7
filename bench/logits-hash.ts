// One number for what a model computes, to compare engines with: the same on every machine, or something is wrong.

import { openCheckpoint } from "../runtime/formats/open.js";
import { bytesSource } from "../runtime/formats/source.js";
import { type CacheType, cacheTypes } from "../runtime/memory/choices.js";
import { exactBuilds } from "../runtime/memory/choose-build.js";
import { planModel } from "../runtime/memory/plan.js";
import { forward } from "../runtime/model/forward.js";
import { loadLlama } from "../runtime/model/llama.js";

export interface LogitsHash {
  readonly cacheType: CacheType;
  /** Build, threads, stages, and positions that forward took at once. */
  readonly how: string;
  /** SHA-256 of the logits of all positions, as f32. */
  readonly hash: string;
}

/** Positions that are fed; enough that threads share the attention of a single one, with some kv heads of 64. */
const POSITIONS = 192;
const PAGE = 65_536;
/** All at once, in chunks that are no whole tiles, token by token. */
const CHUNKS = [POSITIONS, 7, 1];

/** The logits' hashes of a model, in all builds that this engine runs exactly, on one stage and several, fed in all ways. */
export async function logitsHashes(
  model: Uint8Array,
  threadCounts: readonly number[],
): Promise<LogitsHash[]> {
  const checkpoint = await openCheckpoint(bytesSource(model, "model"));
  const { vocabSize } = checkpoint.config;
  const ids = Array.from({ length: POSITIONS }, (_, i) => (i * 37 + 1) % vocabSize);
  const hashes: LogitsHash[] = [];
  for (const build of await exactBuilds()) {
    for (const cacheType of cacheTypes) {
      const options = { contextLength: POSITIONS, batch: POSITIONS, cacheType, build };
      const whole = planModel(checkpoint, options).totalBytes;
      const layouts = [
        ...threadCounts.map((threads) => ({ threads })),
        { threads: 2, maxStageBytes: whole - PAGE }, // does not fit into one
      ];
      for (const layout of layouts) {
        const llama = await loadLlama(checkpoint, { ...options, ...layout });
        try {
          for (const chunk of CHUNKS) {
            const logits = new Float32Array(POSITIONS * vocabSize);
            for (let position = 0; position < POSITIONS; position += chunk) {
              const fed = ids.slice(position, position + chunk);
              logits.set(forward(llama, fed, position, { logitsFrom: 0 }), position * vocabSize);
            }
            const how = `${build}, ${llama.threads} threads, ${llama.stages.length} stages, ${chunk} at once`;
            hashes.push({ cacheType, how, hash: await sha256(logits) });
          }
        } finally {
          await llama.dispose();
        }
      }
    }
  }
  return hashes;
}

async function sha256(numbers: Float32Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", numbers));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
