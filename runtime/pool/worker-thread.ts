import { type SharedWord, startThread } from "./thread.js";

/** What a worker is told at its start. */
export interface WorkerOrders {
  readonly kind: "compute";
  readonly module: WebAssembly.Module;
  /** The stages'. */
  readonly memories: readonly WebAssembly.Memory[];
  readonly slot: SharedArrayBuffer;
  /** Its number, 1 and up; the leader is 0. */
  readonly thread: number;
}

/** What a worker tells: that it takes part, or that it can't any more. */
export type WorkerMessage = { readonly kind: "ready" } | { readonly kind: "failed"; readonly reason: string };

/** A thread that has been started. */
export interface WorkerThread {
  /** Resolves when it has ended. It has been told to, and gets a second for it. */
  end(): Promise<void>;
}

export interface WorkerEvents {
  ready(): void;
  /** It failed or ended, by itself or not; the reason completes a sentence about it. */
  gone(reason: string): void;
}

const PATIENCE_MS = 1000;
/** In a variable, or bundlers would take the script for a file to be copied, beside the worker that they make of it. */
const here = import.meta.url;

/**
 * Starts crew-worker.js with its orders, in Node or a browser. In Node it does not keep the process alive once it is ready.
 * Throws what the engine throws where workers are refused.
 *
 * @param goneWord becomes 1 when it has ended: see startThread
 * @param script one that does the same, in place of crew-worker.js
 */
export function startWorker(
  orders: WorkerOrders,
  events: WorkerEvents,
  goneWord: SharedWord,
  script: string | URL | undefined,
): WorkerThread {
  const thread = startThread<WorkerMessage>(
    script ?? new URL("./crew-worker.js", here),
    () =>
      script === undefined
        ? new Worker(new URL("./crew-worker.js", import.meta.url), { type: "module" })
        : new Worker(script, { type: "module" }),
    {
      message(message) {
        thread.keepAlive(false);
        if (message.kind === "ready") events.ready();
        else events.gone(`failed: ${message.reason}`);
      },
      gone: events.gone,
    },
    goneWord,
  );
  thread.post(orders);
  return { end: () => thread.end(PATIENCE_MS) };
}
