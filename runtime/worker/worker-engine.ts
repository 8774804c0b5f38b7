import type { CallOptions, Engine, EngineFacts } from "../engine/engine.js";
import type { ModelData } from "../engine/open-model.js";
import { canShareMemory } from "../engine/threads.js";
import { createWatch } from "../engine/watch.js";
import { ThreadError } from "../errors.js";
import type { OwnSource } from "../formats/source.js";
import type { GeneratedToken, GenerationEnd } from "../generate/generate-tokens.js";
import { startThread, type Thread } from "../pool/thread.js";
import type { Progress } from "../progress.js";
import { type ErrorMessage, errorMessage, errorOf } from "./errors.js";
import {
  ENDED_WORDS,
  endedWord,
  MOST_AHEAD,
  type OpenMessage,
  type OwnersMessage,
  type Request,
  type Result,
  type SourceMessage,
  type WorkersMessage,
} from "./messages.js";

export interface WorkerEngineOptions {
  readonly model: SourceMessage;
  readonly tokenizer: SourceMessage | undefined;
  /** The sources that the worker reads through its owner, by their numbers. */
  readonly owners: readonly Pick<OwnSource, "read">[];
  readonly options: OpenMessage["options"];
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The engine's worker could not be started at all: nothing has been done yet. */
export class NoWorkerError extends ThreadError {
  override name = "ThreadError";
}

/** A worker that has not started after this time will not. */
const START_MS = 30_000;
/** After dispose() a worker gets so long to end by itself. */
const PATIENCE_MS = 1000;
/** In a variable, or bundlers would take the script for a file to be copied, beside the worker that they make of it. */
const here = import.meta.url;

/** A call as its owner sees it. */
interface Call {
  onValue(value: GeneratedToken | Float32Array | number): void;
  onDone(result: Result): void;
  onFailed(error: unknown): void;
}

/**
 * Loads a model in a worker, and gives the engine that computes there.
 *
 * Rejects as openModel does, with a NoWorkerError where the worker can't be started, and with the signal's reason.
 */
export async function openWorkerEngine(
  options: WorkerEngineOptions,
): Promise<{ engine: Engine; data: ModelData }> {
  options.signal?.throwIfAborted();
  const shared = canShareMemory() ? new SharedArrayBuffer(4 * ENDED_WORDS) : undefined;
  const owner = new Owner(options, shared);
  try {
    owner.post({
      kind: "open",
      model: options.model,
      tokenizer: options.tokenizer,
      options: options.options,
      ended: shared,
    });
    await owner.started;
    const { facts, data } = await owner.opened;
    return { engine: createWorkerEngine(owner, facts), data };
  } catch (error) {
    await owner.end();
    throw error;
  }
}

/** The owner's side of the worker: sends what is to be done and passes on what comes back. */
class Owner {
  readonly started: Promise<void>;
  readonly opened: Promise<{ facts: EngineFacts; data: ModelData }>;
  readonly #thread: Thread;
  readonly #options: WorkerEngineOptions;
  readonly #ended: Int32Array | undefined;
  readonly #calls = new Map<number, Call>();
  /** Errors of the owner's own sources, to be given back as they are. */
  readonly #readErrors = new Map<number, unknown>();
  readonly #watch = createWatch();
  readonly #events: {
    started(): void;
    opened(message: Extract<WorkersMessage, { kind: "opened" }>): void;
    failed(error: unknown): void;
    disposed(): void;
  };
  readonly #disposed: Promise<void>;
  /** Why nothing can be asked any more. */
  #over: unknown;
  #lastCall = 0;
  #waiting = 0;

  constructor(options: WorkerEngineOptions, ended: SharedArrayBuffer | undefined) {
    this.#options = options;
    this.#ended = ended && new Int32Array(ended);
    const [started, opened, disposed] = [
      deferred<void>(),
      deferred<{ facts: EngineFacts; data: ModelData }>(),
      deferred<void>(),
    ];
    this.started = started.promise;
    this.opened = opened.promise;
    this.#disposed = disposed.promise;
    for (const promise of [started.promise, opened.promise]) promise.catch(() => {});
    const { signal } = options;
    const gone = (reason: string) => {
      started.reject(new NoWorkerError(`Cannot load: expected a worker to compute in, it ${reason}`));
      this.#lose(new ThreadError(`Cannot compute: the worker of the model ${reason}`));
      disposed.resolve();
    };
    const timer = setTimeout(gone, START_MS, `has not started for ${START_MS / 1000} seconds`);
    const unwatch = this.#watch(signal, () => this.#events.failed(signal!.reason));
    const settle = () => {
      clearTimeout(timer);
      unwatch();
    };
    this.#events = {
      started() {
        clearTimeout(timer);
        started.resolve();
      },
      opened(message) {
        settle();
        opened.resolve(message);
      },
      failed(error) {
        settle();
        started.reject(error);
        opened.reject(error);
      },
      disposed: disposed.resolve,
    };
    try {
      const { workerUrl: script } = options.options;
      this.#thread = startThread<WorkersMessage>(
        script ?? new URL("./engine-worker.js", here),
        () =>
          script === undefined
            ? new Worker(new URL("./engine-worker.js", import.meta.url), { type: "module" })
            : new Worker(script, { type: "module" }),
        { message: (message) => this.#receive(message), gone },
      );
    } catch (error) {
      settle();
      const reason = error instanceof Error ? error.message : String(error);
      throw new NoWorkerError(
        `Cannot load: expected a worker to compute in, it could not be started: ${reason}`,
      );
    }
  }

  post(message: OwnersMessage, transfer?: readonly ArrayBuffer[]): void {
    this.#thread.post(message, transfer);
  }

  /**
   * Begins a call. An abort fails it at once; the worker is told, and what still comes of it is not passed on. Returns its number.
   */
  call(request: Request, signal: AbortSignal | undefined, call: Call): number {
    const number = ++this.#lastCall;
    const unwatch = this.#watch(signal, () => this.#settle(number)?.onFailed(signal!.reason));
    const over =
      <T>(pass: (value: T) => void) =>
      (value: T) => {
        unwatch();
        pass(value);
      };
    if (this.#over) {
      unwatch();
      call.onFailed(this.#over);
      return number;
    }
    this.#calls.set(number, {
      onValue: call.onValue,
      onDone: over(call.onDone),
      onFailed: over(call.onFailed),
    });
    try {
      this.post({ kind: "call", call: number, request });
    } catch (error) {
      this.#calls.get(number)!.onFailed(error); // something that can't be cloned
      this.#calls.delete(number);
    }
    return number;
  }

  /** Ends a call that nobody wants to hear of any more. */
  leave(number: number): void {
    this.#settle(number)?.onDone(undefined);
  }

  /** Waits for what the worker is to bring about. The process need not stay alive for a model that nobody waits for. */
  async wait<T>(promise: Promise<T>): Promise<T> {
    if (this.#waiting++ === 0) this.#thread.keepAlive(true);
    try {
      return await promise;
    } finally {
      if (--this.#waiting === 0) this.#thread.keepAlive(false);
    }
  }

  async end(): Promise<void> {
    this.#over ??= new ThreadError("Cannot compute: the worker of the model has been ended");
    await this.#thread.end(0);
  }

  async dispose(): Promise<void> {
    if (!this.#over) {
      this.#thread.keepAlive(true);
      this.post({ kind: "dispose" });
    }
    this.#lose(new Error("Cannot go on: the model has been disposed of"));
    let timer: ReturnType<typeof setTimeout> | undefined;
    const patience = new Promise((resolve) => {
      timer = setTimeout(resolve, PATIENCE_MS);
    });
    await Promise.race([this.#disposed, patience]);
    clearTimeout(timer);
    await this.#thread.end(PATIENCE_MS);
  }

  /** Fails all that is under way and all that will come. */
  #lose(error: unknown): void {
    this.#over ??= error;
    this.#events.failed(error);
    for (const number of [...this.#calls.keys()]) this.#settle(number)?.onFailed(error);
  }

  /** Takes a call that has not ended from the list, and has the worker end it. */
  #settle(number: number): Call | undefined {
    const call = this.#calls.get(number);
    if (!call) return undefined;
    this.#calls.delete(number);
    if (this.#ended) Atomics.store(this.#ended, endedWord(number), number);
    this.post({ kind: "leave", call: number });
    return call;
  }

  #receive(message: WorkersMessage): void {
    switch (message.kind) {
      case "started":
        this.#events.started();
        return;
      case "read":
        this.#read(message);
        return;
      case "progress":
        try {
          this.#options.onProgress?.(message.progress);
        } catch (error) {
          this.#events.failed(error);
        }
        return;
      case "opened":
        this.#events.opened(message);
        this.#thread.keepAlive(this.#waiting > 0);
        return;
      case "notOpened":
        this.#events.failed(this.#errorOf(message.error));
        return;
      case "value":
        try {
          this.#calls.get(message.call)?.onValue(message.value);
        } catch (error) {
          this.#settle(message.call)?.onFailed(error);
        }
        return;
      case "done": {
        const call = this.#calls.get(message.call);
        this.#calls.delete(message.call);
        call?.onDone(message.result);
        return;
      }
      case "failed": {
        const call = this.#calls.get(message.call);
        this.#calls.delete(message.call);
        call?.onFailed(this.#errorOf(message.error));
        return;
      }
      case "disposed":
        this.#events.disposed();
    }
  }

  async #read({ read, source, start, end }: Extract<WorkersMessage, { kind: "read" }>): Promise<void> {
    try {
      const bytes: unknown = await this.#options.owners[source]!.read(start, end);
      // a copy that can be given away: the caller's own bytes stay theirs. What is no array of bytes is for the worker to refuse
      const own = bytes instanceof Uint8Array ? new Uint8Array(bytes) : (bytes as Uint8Array);
      this.post(
        { kind: "bytes", read, bytes: own },
        own instanceof Uint8Array ? [own.buffer as ArrayBuffer] : [],
      );
    } catch (error) {
      this.#readErrors.set(read, error);
      const message = errorMessage(error);
      this.post({
        kind: "noBytes",
        read,
        error: { ...message, more: { ...message.more, ownersRead: read } },
      });
    }
  }

  #errorOf(message: ErrorMessage): unknown {
    const own = message.more.ownersRead;
    return typeof own === "number" && this.#readErrors.has(own)
      ? this.#readErrors.get(own)
      : errorOf(message);
  }
}

function createWorkerEngine(owner: Owner, facts: EngineFacts): Engine {
  let hasTexts = false;

  /** A call with one answer. */
  function ask<T extends Result>(
    request: Request,
    { signal }: CallOptions,
    onValue: (value: number) => void = () => {},
  ): Promise<T> {
    const answer = new Promise<T>((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      owner.call(request, signal, {
        onValue: (value) => onValue(value as number),
        onDone: (result) => resolve(result as T),
        onFailed: reject,
      });
    });
    return owner.wait(answer);
  }

  return {
    facts,
    generate(ids, { owner: whose, sampling, maxTokens, logprobs, keep, textOf, signal }) {
      return stream<GeneratedToken, GenerationEnd>(owner, signal, () => {
        let texts: string[] | undefined;
        if (sampling.dry && !hasTexts) {
          texts = Array.from({ length: facts.config.vocabSize }, (_, id) => textOf(id));
          hasTexts = true;
        }
        const options = { owner: whose, sampling, maxTokens, logprobs, keep };
        return { method: "generate", ids: postable(ids), options, texts };
      });
    },
    logits(ids, { owner: whose, from, signal }) {
      const options = { owner: whose, from };
      return stream<Float32Array, undefined>(owner, signal, () => ({
        method: "logits",
        ids: postable(ids),
        options,
      }));
    },
    surprise: (bos, ids, { onProgress, ...call }) =>
      ask<number>({ method: "surprise", bos, ids }, call, onProgress),
    open: (whose) => owner.post({ kind: "owner", owner: whose, isOpen: true }),
    close: (whose) => owner.post({ kind: "owner", owner: whose, isOpen: false }),
    save: (whose, ids, call) => ask<Uint8Array>({ method: "save", owner: whose, ids }, call),
    restore: async (whose, bytes, call) => [
      ...(await ask<readonly number[]>({ method: "restore", owner: whose, bytes }, call)),
    ],
    dispose: () => owner.dispose(),
  };
}

/** Ids as they can be posted: what is no number goes as its text, for the engine to refuse. */
function postable(ids: readonly number[]): number[] {
  return ids.map((id: unknown) => (typeof id === "number" ? id : (String(id) as unknown as number)));
}

/**
 * A call whose values come one by one; it begins with the first that is asked for. The worker computes a few ahead, as long as they
 * are taken.
 */
function stream<T extends GeneratedToken | Float32Array, R extends Result>(
  owner: Owner,
  signal: AbortSignal | undefined,
  request: () => Request,
): AsyncGenerator<T, R, boolean | undefined> {
  const values: T[] = [];
  let number: number | undefined;
  let untold = 0;
  let end: { readonly result: R } | { readonly error: unknown } | undefined;
  let wake = () => {};

  function begin(): void {
    signal?.throwIfAborted();
    number = owner.call(request(), signal, {
      onValue(value) {
        values.push(value as T);
        wake();
      },
      onDone(result) {
        end = { result: result as R };
        wake();
      },
      onFailed(error) {
        values.length = 0;
        end = { error };
        wake();
      },
    });
  }

  /** Waits for what comes next. */
  async function more(): Promise<void> {
    const woken = new Promise<void>((resolve) => {
      wake = resolve;
    });
    await owner.wait(woken);
  }

  /** Tells how many values have been taken, not of each. */
  function tell(): void {
    if (++untold < MOST_AHEAD / 2) return;
    owner.post({ kind: "taken", call: number!, count: untold });
    untold = 0;
  }

  return {
    async next(isEnd = false) {
      if (number === undefined && !end) begin();
      else if (isEnd && !end) {
        owner.post({ kind: "end", call: number! });
        while (!end) await more();
      }
      if (isEnd) values.length = 0; // what has been computed ahead is none of the text's
      while (values.length === 0 && !end) await more();
      const value = values.shift();
      if (value !== undefined) {
        if (!end) tell();
        return { done: false, value };
      }
      if (end && "error" in end) {
        const { error } = end;
        end = { result: undefined as R };
        throw error;
      }
      return { done: true, value: end!.result };
    },
    async return(value) {
      if (number !== undefined && !end) owner.leave(number);
      end ??= { result: undefined as R };
      values.length = 0;
      return { done: true, value: await value };
    },
    async throw(error) {
      await this.return(undefined as R);
      throw error;
    },
    [Symbol.asyncIterator]() {
      return this;
    },
    async [Symbol.asyncDispose]() {
      await this.return(undefined as R);
    },
  };
}

function deferred<T>() {
  let settle!: { resolve(value: T): void; reject(error: unknown): void };
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject };
  });
  return { promise, ...settle };
}
