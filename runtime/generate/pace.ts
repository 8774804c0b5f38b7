import { nextTask } from "../next-task.js";
import { orAborted } from "../or-aborted.js";

/** Longest stretch of computing, in milliseconds, before other tasks get a turn: three frames of a page. */
const STRETCH_MS = 50;

/**
 * Positions below which a chunk is not cut to fit into a stretch, since every chunk reads all weights: with 4 at once a 1B model takes half as long again for
 * each as with 16. A page has frames to show, and gets its turn sooner.
 */
const LEAST_POSITIONS = typeof document === "undefined" ? 16 : 4;

/** Lets other tasks run every 50 ms, and is where an abort is noticed. */
export interface Pace {
  /** To be called between two steps. Rejects with the reason of a signal that is aborted. */
  rest(): Promise<void>;
  /** Resolves when the promise has, and others have had their turn. Rejects with the reason of a signal that is aborted before. */
  wait(promise: Promise<void>): Promise<void>;
  /** How many positions to feed at once, given how long one took in the chunk before. Results do not depend on it. */
  chunk(msPerPosition: number | undefined, batch: number): number;
}

export interface PaceOptions {
  /** Steps may take as long as they do: nothing else waits for this thread, and an abort is noticed within them. Default false. */
  readonly unhurried?: boolean | undefined;
}

export function createPace(
  signals: readonly (AbortSignal | undefined)[],
  { unhurried = false }: PaceOptions = {},
): Pace {
  const check = () => {
    for (const signal of signals) signal?.throwIfAborted();
  };
  let since = performance.now();
  async function rest(): Promise<void> {
    check();
    if (performance.now() - since < STRETCH_MS) return;
    await nextTask();
    since = performance.now();
    check();
  }
  return {
    rest,
    async wait(promise) {
      await signals.reduce((waiting, signal) => orAborted(waiting, signal), promise);
      await rest();
    },
    chunk: unhurried ? (_, batch) => batch : chunkSize,
  };
}

/**
 * How many positions to feed at once so that it takes about as long as a stretch.
 *
 * @param msPerPosition as measured on the chunk before; undefined before the first one
 * @param least not fewer than that, where the batch holds them
 */
export function chunkSize(msPerPosition: number | undefined, batch: number, least = LEAST_POSITIONS): number {
  if (msPerPosition === undefined) return Math.min(8, batch);
  const fitting = Math.floor(STRETCH_MS / msPerPosition / 4) * 4; // whole tiles of the matmul kernels
  return Math.max(Math.min(least, batch), Math.min(fitting, batch));
}
