/** What a worker is told at its start. */
export interface WorkerOrders {
  readonly module: WebAssembly.Module;
  /** The stages'. */
  readonly memories: readonly WebAssembly.Memory[];
  readonly slot: SharedArrayBuffer;
  /** Its number, 1 and up; the leader is 0. */
  readonly thread: number;
}

/** What a worker tells: that it takes part, that it can't any more, that it has nothing more to do. */
export type WorkerMessage =
  | { readonly kind: "ready" }
  | { readonly kind: "failed"; readonly reason: string }
  | { readonly kind: "ended" };

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

/**
 * Starts crew-worker.js with its orders, in Node or a browser. In Node it does not keep the process alive once it is ready.
 * Throws what the engine throws where workers are refused.
 */
export function startWorker(orders: WorkerOrders, events: WorkerEvents): WorkerThread {
  const node = globalThis.process?.getBuiltinModule?.("node:worker_threads");
  return node ? inNode(node, orders, events) : inBrowser(orders, events);
}

const PATIENCE_MS = 1000;

function tell(events: WorkerEvents, message: WorkerMessage): void {
  if (message.kind === "ready") events.ready();
  if (message.kind === "failed") events.gone(`failed: ${message.reason}`);
}

function inNode(
  { Worker }: typeof import("node:worker_threads"),
  orders: WorkerOrders,
  events: WorkerEvents,
): WorkerThread {
  // none of the process's arguments, which may be meant for its main thread, such as --eval's
  const worker = new Worker(new URL("./crew-worker.js", import.meta.url), { execArgv: [] });
  worker.on("message", (message: WorkerMessage) => {
    worker.unref();
    tell(events, message);
  });
  worker.on("error", (error) => events.gone(`failed: ${error.message}`));
  const gone = new Promise<void>((resolve) => {
    worker.on("exit", (code) => {
      events.gone(`ended with code ${code}`);
      resolve();
    });
  });
  worker.postMessage(orders);
  return {
    async end() {
      worker.ref(); // or a process that has nothing else to do would end before this resolves
      const timer = setTimeout(() => worker.terminate(), PATIENCE_MS);
      await gone;
      clearTimeout(timer);
    },
  };
}

function inBrowser(orders: WorkerOrders, events: WorkerEvents): WorkerThread {
  // literally so: bundlers look for it
  const worker = new Worker(new URL("./crew-worker.js", import.meta.url), { type: "module" });
  const ended = new Promise<void>((resolve) => {
    worker.addEventListener("message", ({ data }: MessageEvent<WorkerMessage>) => {
      tell(events, data);
      if (data.kind !== "ready") resolve();
    });
    // a script that can't be loaded gives an event without a message
    worker.addEventListener("error", ({ message }) => {
      events.gone(`failed: ${message || "its script could not be loaded"}`);
      resolve();
    });
  });
  worker.postMessage(orders);
  return {
    async end() {
      await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, PATIENCE_MS))]);
      worker.terminate();
    },
  };
}
