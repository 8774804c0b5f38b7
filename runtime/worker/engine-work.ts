// A model in a worker: the engine, with its owner on another thread.

import { openSource, type SourceLike } from "../api/sources.js";
import { createEngine, type Engine, type Interruption } from "../engine/engine.js";
import { openModel } from "../engine/open-model.js";
import type { OwnSource } from "../formats/source.js";
import type { OwnThread } from "../pool/thread.js";
import { errorMessage, errorOf } from "./errors.js";
import {
  endedWord,
  MOST_AHEAD,
  type OpenMessage,
  type OwnersMessage,
  type Request,
  type Result,
  type SourceMessage,
  type WorkersMessage,
} from "./messages.js";

/** A call under way. */
interface Call {
  readonly abort: AbortController;
  /** Values that have been sent and not been taken. */
  ahead: number;
  isEnded: boolean;
  /** Goes on with a call that waits for its values to be taken. */
  wake: () => void;
}

/** Gives what takes the owner's messages. */
export function engineWork(thread: OwnThread): (message: OwnersMessage) => void {
  const send = (message: WorkersMessage, transfer?: readonly ArrayBuffer[]) => thread.send(message, transfer);
  let engine: Engine | undefined;
  let ended: Int32Array | undefined;
  let texts: readonly string[] = [];
  const calls = new Map<number, Call>();
  const reads = new Map<number, { resolve(bytes: Uint8Array): void; reject(error: Error): void }>();
  let lastRead = 0;

  async function open({ model, tokenizer, options, ended: words }: OpenMessage): Promise<void> {
    if (words) ended = new Int32Array(words);
    const interruption: Interruption = { poll: undefined };
    const opening = (message: SourceMessage) => () => openSource(sourceOf(message));
    try {
      const files = { model: opening(model), tokenizer: tokenizer && opening(tokenizer) };
      const { llama, data } = await openModel(files, {
        ...options,
        onProgress: (progress) => send({ kind: "progress", progress }),
        interrupt: () => interruption.poll?.(),
      });
      engine = createEngine(llama, { stops: data.stops, interruption, unhurried: ended !== undefined });
      send({ kind: "opened", facts: engine.facts, data });
    } catch (error) {
      send({ kind: "notOpened", error: errorMessage(error) });
    }
  }

  function sourceOf(message: SourceMessage): SourceLike {
    switch (message.kind) {
      case "path":
        return message.path;
      case "url":
        return new URL(message.href);
      case "remote":
        return message.remote;
      case "blob":
        return message.name === undefined ? message.blob : new File([message.blob], message.name);
      case "owners":
        return ownersSource(message);
      case "list":
        return message.files.map((file) => sourceOf(file) as Exclude<SourceLike, readonly unknown[]>);
    }
  }

  function ownersSource({ number, name, size }: Extract<SourceMessage, { kind: "owners" }>): OwnSource {
    return {
      name,
      size,
      read: (start, end) =>
        new Promise((resolve, reject) => {
          const read = ++lastRead;
          reads.set(read, { resolve, reject });
          send({ kind: "read", read, source: number, start, end });
        }),
    };
  }

  /** Carries out a call, whose `signal` and `interrupt` end it. */
  async function run(number: number, request: Request): Promise<void> {
    const abort = new AbortController();
    const call: Call = { abort, ahead: 0, isEnded: false, wake() {} };
    calls.set(number, call);
    const interrupt = () => {
      if (!ended || Atomics.load(ended, endedWord(number)) !== number) return;
      abort.abort();
      abort.signal.throwIfAborted();
    };
    try {
      const result = await carryOut(number, request, call, { signal: abort.signal, interrupt });
      send({ kind: "done", call: number, result });
    } catch (error) {
      send({ kind: "failed", call: number, error: errorMessage(error) });
    } finally {
      calls.delete(number);
    }
  }

  async function carryOut(
    number: number,
    request: Request,
    call: Call,
    how: { readonly signal: AbortSignal; readonly interrupt: () => void },
  ): Promise<Result> {
    const running = engine!;
    switch (request.method) {
      case "generate": {
        texts = request.texts ?? texts;
        const textOf = (id: number) => texts[id] ?? "";
        const steps = running.generate(request.ids, { ...request.options, ...how, textOf });
        for (;;) {
          const step = await steps.next(call.isEnded);
          if (step.done) return step.value;
          send({ kind: "value", call: number, value: step.value });
          await taken(call);
        }
      }
      case "logits":
        for await (const value of running.logits(request.ids, { ...request.options, ...how })) {
          // a copy, since several rows share one buffer
          const own = value.slice();
          send({ kind: "value", call: number, value: own }, [own.buffer]);
          await taken(call);
        }
        return undefined;
      case "surprise": {
        const onProgress = (value: number) => send({ kind: "value", call: number, value });
        return running.surprise(request.bos, request.ids, { ...how, onProgress });
      }
      case "save":
        return running.save(request.owner, request.ids, how);
      case "restore":
        return running.restore(request.owner, request.bytes, how);
    }
  }

  /** Counts a value that has been sent; resolves when another one may be. */
  async function taken(call: Call): Promise<void> {
    call.ahead++;
    while (call.ahead >= MOST_AHEAD && !call.isEnded && !call.abort.signal.aborted) {
      await new Promise<void>((resolve) => {
        call.wake = resolve;
      });
    }
  }

  async function dispose(): Promise<void> {
    await engine?.dispose();
    send({ kind: "disposed" });
    thread.end();
  }

  function receive(message: OwnersMessage): void {
    switch (message.kind) {
      case "open":
        send({ kind: "started" });
        open(message);
        return;
      case "call":
        run(message.call, message.request);
        return;
      case "owner":
        if (message.isOpen) engine!.open(message.owner);
        else engine!.close(message.owner);
        return;
      case "bytes":
        reads.get(message.read)?.resolve(message.bytes);
        reads.delete(message.read);
        return;
      case "noBytes":
        reads.get(message.read)?.reject(errorOf(message.error));
        reads.delete(message.read);
        return;
      case "dispose":
        dispose();
        return;
    }
    // about a call: it may have ended in the meantime
    const call = calls.get(message.call);
    if (!call) return;
    if (message.kind === "taken") call.ahead -= message.count;
    if (message.kind === "end") call.isEnded = true;
    if (message.kind === "leave") call.abort.abort();
    call.wake();
  }

  return receive;
}
