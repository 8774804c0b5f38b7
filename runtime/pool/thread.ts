import { holdLock, whenFree } from "./life-lock.js";

/** A thread that has been started: a worker of Node or of a browser. */
export interface Thread {
  post(message: unknown, transfer?: readonly ArrayBuffer[]): void;
  /** Whether the process is kept alive for it; browsers don't ask. At first it is. */
  keepAlive(isNeeded: boolean): void;
  /** Resolves when it has ended. It has been told to, and gets so many milliseconds for it. */
  end(patienceMs: number): Promise<void>;
}

export interface ThreadEvents<Message> {
  message(message: Message): void;
  /** It failed or ended, by itself or not; the reason completes a sentence about it. May come more than once. */
  gone(reason: string): void;
}

/** A word of 32 bits in memory that threads share. */
export interface SharedWord {
  readonly buffer: SharedArrayBuffer;
  readonly index: number;
}

/**
 * Starts a script as a thread.
 *
 * @param script where it is, in Node
 * @param inBrowser makes the worker in a browser: `new Worker(new URL(..))` has to be written out, since bundlers look for it
 * @param goneWord where a worker of ours starts a thread in a browser: becomes 1 when the thread has ended, by the hand of the worker's own
 *   owner, since the worker may be waiting for the thread and hear nothing
 *
 * Throws what the engine throws where workers are refused.
 */
export function startThread<Message>(
  script: string | URL,
  inBrowser: () => Worker,
  events: ThreadEvents<Message>,
  goneWord?: SharedWord,
): Thread {
  const node = globalThis.process?.getBuiltinModule?.("node:worker_threads");
  return node ? nodeThread(node, script, events) : browserThread(inBrowser(), events, goneWord);
}

function nodeThread<Message>(
  { Worker }: typeof import("node:worker_threads"),
  script: string | URL,
  events: ThreadEvents<Message>,
): Thread {
  // none of the process's arguments, which may be meant for its main thread, such as --eval's
  const address = String(script);
  const worker = new Worker(address.startsWith("file:") ? new URL(address) : address, { execArgv: [] });
  worker.on("message", events.message);
  worker.on("error", (error) => events.gone(`failed: ${error.message}`));
  const gone = new Promise<void>((resolve) => {
    worker.on("exit", (code) => {
      events.gone(`ended with code ${code}`);
      resolve();
    });
  });
  return {
    post: (message, transfer = []) => worker.postMessage(message, [...transfer]),
    keepAlive: (isNeeded) => (isNeeded ? worker.ref() : worker.unref()),
    async end(patienceMs) {
      worker.ref(); // or a process that has nothing else to do would end before this resolves
      const timer = setTimeout(() => worker.terminate(), patienceMs);
      await gone;
      clearTimeout(timer);
    },
  };
}

function browserThread<Message>(
  worker: Worker,
  events: ThreadEvents<Message>,
  goneWord: SharedWord | undefined,
): Thread {
  let ended!: () => void;
  const isOver = new Promise<void>((resolve) => {
    ended = resolve;
  });
  function watch(lock: string): void {
    whenFree(lock, () => {
      events.gone("ended");
      ended();
    });
    if (goneWord) tellOwner?.({ kind: "life", lock, goneWord });
  }
  worker.addEventListener("message", ({ data }: MessageEvent<unknown>) => {
    if (data === endedMessage) ended();
    else if (!isLifeMessage(data)) events.message(data as Message);
    else if (data.goneWord) setWhenFree(data.lock, data.goneWord);
    else watch(data.lock);
  });
  // a script that can't be loaded gives an event without a message
  worker.addEventListener("error", ({ message }) => {
    events.gone(`failed: ${message || "its script could not be loaded"}`);
    ended();
  });
  return {
    post: (message, transfer = []) => worker.postMessage(message, [...transfer]),
    keepAlive() {},
    async end(patienceMs) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const patience = new Promise((resolve) => {
        timer = setTimeout(resolve, patienceMs);
      });
      await Promise.race([isOver, patience]);
      clearTimeout(timer);
      worker.terminate();
    },
  };
}

/** In place of the worker that started the thread, which may be waiting for it and hear nothing. */
function setWhenFree(lock: string, { buffer, index }: SharedWord): void {
  whenFree(lock, () => Atomics.store(new Int32Array(buffer), index, 1));
}

/** What a worker in a browser says last; in Node it ends when nothing more can come. */
const endedMessage = "ended";

/** What a worker in a browser says first: the lock that it holds while it lives. */
interface LifeMessage {
  readonly kind: "life";
  readonly lock: string;
  /** What is to be set when it has ended, where it is passed on: who started the worker may be waiting for it, and hear nothing. */
  readonly goneWord?: SharedWord;
}

function isLifeMessage(data: unknown): data is LifeMessage {
  return (data as Partial<LifeMessage> | undefined)?.kind === "life";
}

/** Sends to who started this thread, where one of ours did. */
let tellOwner: ((message: LifeMessage) => void) | undefined;

/** The thread's own side. */
export interface OwnThread {
  send(message: unknown, transfer?: readonly ArrayBuffer[]): void;
  /** Takes messages from now on; the second function is told of one that could not be read. */
  receive(onMessage: (message: unknown) => void, onUnreadable: () => void): void;
  /** Says that it has ended, and takes no more messages. */
  end(): void;
}

/** Set where messages are taken already; the same symbol for every copy of this module. */
const receiving = Symbol.for("cria: takes messages");

export function ownThread(): OwnThread {
  const parent = globalThis.process?.getBuiltinModule?.("node:worker_threads").parentPort;
  const scope = globalThis as unknown as DedicatedWorkerScope & { [receiving]?: boolean };
  if (!parent) tellOwner = (message) => scope.postMessage(message, []);
  return {
    send: (message, transfer = []) => (parent ?? scope).postMessage(message, [...transfer]),
    receive(onMessage, onUnreadable) {
      if (parent) {
        parent.on("message", onMessage).on("messageerror", onUnreadable);
        return;
      }
      // WebKit runs a worker's script once more when a module imports from it, as bundlers have theirs do: the messages are the first one's
      if (scope[receiving]) return;
      scope[receiving] = true;
      // the first message may keep the thread busy for good
      const said = sayLife();
      scope.addEventListener("message", ({ data }) => said.then(() => onMessage(data)).catch(reportError));
      scope.addEventListener("messageerror", onUnreadable);
    },
    end() {
      if (parent) parent.close();
      else scope.postMessage(endedMessage, []);
    },
  };
}

async function sayLife(): Promise<void> {
  const lock = await holdLock();
  if (lock !== undefined) tellOwner?.({ kind: "life", lock });
}

/** What is used of a worker's global object; its types and a page's exclude each other. */
interface DedicatedWorkerScope {
  postMessage(message: unknown, transfer: ArrayBuffer[]): void;
  addEventListener(type: string, listener: (event: MessageEvent) => void): void;
}
