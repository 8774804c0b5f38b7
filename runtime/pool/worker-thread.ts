/** A thread that has been started. */
export interface WorkerThread {
  /** Resolves when it has ended. It has been told to, and gets a second for it. */
  end(): Promise<void>;
}

export interface WorkerEvents<M> {
  message(message: M): void;
  /** It ended, by itself or not; the reason completes a sentence about it. */
  ended(reason: string): void;
}

/**
 * Starts crew-worker.js with its orders, in Node or a browser. In Node it does not keep the process alive once it has told that it is ready.
 * Throws what the engine throws where workers are refused.
 */
export function startWorker<O, M>(orders: O, events: WorkerEvents<M>): WorkerThread {
  const node = globalThis.process?.getBuiltinModule?.("node:worker_threads");
  return node ? inNode(node, orders, events) : inBrowser(orders, events);
}

const PATIENCE_MS = 1000;

function inNode<O, M>(
  { Worker }: typeof import("node:worker_threads"),
  orders: O,
  events: WorkerEvents<M>,
): WorkerThread {
  // none of the process's arguments, which may be meant for its main thread, such as --eval's
  const worker = new Worker(new URL("./crew-worker.js", import.meta.url), { execArgv: [] });
  worker.on("message", (message: M) => {
    worker.unref();
    events.message(message);
  });
  worker.on("error", (error) => events.ended(`failed: ${error.message}`));
  const gone = new Promise<void>((resolve) => {
    worker.on("exit", (code) => {
      events.ended(`ended with code ${code}`);
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

function inBrowser<O, M>(orders: O, events: WorkerEvents<M>): WorkerThread {
  // literally so: bundlers look for it
  const worker = new Worker(new URL("./crew-worker.js", import.meta.url), { type: "module" });
  worker.addEventListener("message", ({ data }: MessageEvent<M>) => events.message(data));
  worker.addEventListener("error", ({ message }) => events.ended(`failed: ${message}`));
  worker.postMessage(orders);
  return {
    async end() {
      worker.terminate();
    },
  };
}
