import { nextTask } from "../next-task.js";

/** Longest stretch of computing, in milliseconds, before other tasks get a turn: three frames of a page. */
const STRETCH_MS = 50;

/** Lets other tasks run every 50 ms, and is where an abort is noticed. */
export interface Pace {
  /** To be called between two steps. Rejects with the reason of a signal that is aborted. */
  rest(): Promise<void>;
}

export function createPace(signals: readonly (AbortSignal | undefined)[]): Pace {
  const check = () => {
    for (const signal of signals) signal?.throwIfAborted();
  };
  let since = performance.now();
  return {
    async rest() {
      check();
      if (performance.now() - since < STRETCH_MS) return;
      await nextTask();
      since = performance.now();
      check();
    },
  };
}

/**
 * How many positions to feed at once so that it takes about as long as a stretch. Results do not depend on it.
 *
 * @param msPerPosition as measured on the chunk before; undefined before the first one
 */
export function chunkSize(msPerPosition: number | undefined, batch: number): number {
  if (msPerPosition === undefined) return Math.min(8, batch);
  const fitting = Math.floor(STRETCH_MS / msPerPosition / 4) * 4; // whole tiles of the matmul kernels
  return Math.max(Math.min(4, batch), Math.min(fitting, batch));
}
