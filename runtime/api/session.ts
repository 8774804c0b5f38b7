import { checkCount, checkNames } from "../check-options.js";
import type { Engine } from "../engine/engine.js";
import { tokensToDrop } from "../generate/tokens-to-drop.js";
import { createGeneration, type Generation, type GenerationResult, type Part } from "./generation.js";
import type { GenerateOptions, Writing } from "./model.js";
import { copied } from "./prompt.js";

/** What calls of a session take that have no options of their own. */
export interface SessionCallOptions {
  /** Ends the call within a step; it rejects with the signal's reason, and the session is as before. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * A text that one comes back to: its tokens, and the model's keys and values of them, so that nothing is computed twice. A model may have
 * many; what it knows of one is copied out of its memory (2 * layers * kvDim numbers for each token) while another one is worked on, and
 * is freed by dispose(). Its logits are the same bits as those of a text computed at once, whatever was done to it before.
 *
 * One call at a time: while one is under way, all others throw.
 */
export interface Session {
  /** The ids so far. */
  readonly tokens: readonly number[];
  /**
   * Adds a text, or ids as they are, and computes them. The first text gets what `tokenize` puts in front; a later one continues
   * the text as it stands, without a space of its own. Rejects as generate does.
   */
  append(prompt: string | readonly number[], options?: SessionCallOptions): Promise<void>;
  /**
   * Adds a prompt, if there is one, and continues the text. What is written belongs to the session with each part, also when the
   * generation is left or aborted. Nothing of the prompt does before the first token has come. Options and errors as of the model's generate.
   */
  generate(prompt?: string | readonly number[], options?: GenerateOptions): Generation;
  /** Logits f32[vocabSize] of the token that would follow. Throws a TypeError for an empty session. */
  logits(options?: SessionCallOptions): Promise<Float32Array>;
  /** Another session with the same tokens; the two go their own ways from here. */
  fork(): Session;
  /** Takes back the last `count` tokens, at most all. */
  rewind(count: number): void;
  /**
   * The session as bytes, for `model.restore`: the ids, and what is known of them. They are good for the same weights and the same
   * type of cache, on any machine.
   */
  save(options?: SessionCallOptions): Promise<Uint8Array>;
  /** Frees what is known of the text. A session that nobody holds any more is freed by and by. */
  dispose(): void;
}

/** What a session needs of a model. */
export interface SessionModel {
  /** The engine, or throws when the model has been disposed of. */
  engine(doing: string): Engine;
  readonly contextLength: number;
  /** Checks the options. */
  start(options: GenerateOptions): (writing: Writing) => Generation;
  /** The ids that a prompt adds: to nothing, or to others. */
  idsOf(prompt: string | readonly number[], isFirst: boolean): readonly number[];
  open(tokens: readonly number[], owner?: number): Session;
}

export function createSession(model: SessionModel, owner: number, begun: readonly number[]): Session {
  let tokens = [...begun];
  let isBusy = false;
  let isDisposed = false;

  /** Throws where nothing can be done with the session now. */
  function ready(doing: string): Engine {
    if (isDisposed) throw new Error(`Cannot ${doing}: the session has been disposed of`);
    if (isBusy) throw new Error(`Cannot ${doing}: expected the session's call before to have ended`);
    return model.engine(doing);
  }

  async function alone<T>(doing: string, work: (engine: Engine) => Promise<T>): Promise<T> {
    const engine = ready(doing);
    isBusy = true;
    try {
      return await work(engine);
    } finally {
      isBusy = false;
    }
  }

  /** The tokens and those of a prompt. An empty session needs one, if only the empty text. */
  function extended(prompt: string | readonly number[] | undefined): number[] {
    const isFirst = tokens.length === 0;
    if (prompt === undefined && !isFirst) return [...tokens];
    return [...tokens, ...model.idsOf(prompt ?? "", isFirst)];
  }

  /** Drops tokens of before the prompt, where it does not fit beside them; one that can't be made to fit is for the engine to refuse. */
  function makeRoom(next: number[], keep: number): void {
    if (next.length <= model.contextLength) return;
    const most = tokens.length - keep;
    const dropped = Math.min(most, tokensToDrop(next.length, keep, model.contextLength));
    if (next.length - dropped <= model.contextLength) next.splice(keep, dropped);
  }

  /** Writes, and keeps what is written. */
  async function* write(
    prompt: string | readonly number[] | undefined,
    options: GenerateOptions,
    generation: (writing: Writing) => Generation,
  ): AsyncGenerator<Part, GenerationResult, undefined> {
    ready("generate");
    isBusy = true;
    try {
      const next = extended(prompt);
      if (options.contextFull === "shift") makeRoom(next, options.keep ?? 1);
      const onToken = (id: number, dropped: number) => {
        if (dropped) next.splice(options.keep ?? 1, dropped);
        next.push(id);
        tokens = next;
      };
      const writing = generation({ owner, prompt: () => [...next], onToken });
      for await (const part of writing) yield part;
      tokens = next;
      return await writing;
    } finally {
      isBusy = false;
    }
  }

  return {
    get tokens() {
      return [...tokens];
    },
    async append(prompt, options = {}) {
      checkNames("append", options, ["signal"]);
      const { signal } = options;
      await alone("append", async (engine) => {
        const next = extended(prompt);
        for await (const _ of engine.logits(next, { owner, signal, from: next.length }));
        tokens = next;
      });
    },
    generate(prompt, options = {}) {
      ready("generate");
      const own = prompt === undefined ? undefined : copied(prompt);
      const begin = model.start(options);
      return createGeneration(() => write(own, options, begin));
    },
    async logits(options = {}) {
      checkNames("compute logits", options, ["signal"]);
      const { signal } = options;
      return alone("compute logits", async (engine) => {
        for await (const logits of engine.logits(tokens, {
          owner,
          signal,
          from: Math.max(0, tokens.length - 1),
        })) {
          return logits;
        }
        throw new Error("Cannot compute logits: the engine gave none");
      });
    },
    fork() {
      ready("fork");
      return model.open(tokens);
    },
    rewind(count) {
      ready("rewind");
      checkCount("rewind", "count", count ?? Number.NaN, 0);
      tokens.length = Math.max(0, tokens.length - count);
    },
    async save(options = {}) {
      checkNames("save a session", options, ["signal"]);
      return alone("save a session", (engine) => engine.save(owner, tokens, options));
    },
    dispose() {
      if (isDisposed) return;
      isDisposed = true;
      try {
        model.engine("dispose").close(owner);
      } catch {} // the model has gone, and all of its sessions with it
    },
  };
}
