import { SnapshotError } from "../errors.js";
import type { ModelConfig } from "../formats/checkpoint.js";
import {
  type GeneratedToken,
  type GenerateTokensOptions,
  type GenerationEnd,
  generateTokens,
} from "../generate/generate-tokens.js";
import { createPace, type Pace } from "../generate/pace.js";
import { negativeLogLikelihood } from "../generate/perplexity.js";
import { checkIds, logitsByPosition, type Past } from "../generate/positions.js";
import type { Build, CacheType } from "../memory/choices.js";
import { packedTypes } from "../memory/plan.js";
import { cacheBytes } from "../model/cache-rows.js";
import type { OnLayer } from "../model/layer-state.js";
import type { Llama } from "../model/llama.js";
import { orAborted } from "../or-aborted.js";
import { checkFinite } from "../sampling/check-finite.js";
import type { SamplerOptions } from "../sampling/options.js";
import { createSampler } from "../sampling/sampler.js";
import { checksum } from "./checksum.js";
import { createPastKeeper } from "./past.js";
import { readSnapshot, writeSnapshot } from "./snapshot.js";
import { createTurns } from "./turns.js";

/** What there is to know about a model in memory. */
export interface EngineFacts {
  /** The model's sizes. */
  readonly config: ModelConfig;
  /** Positions that one text may have. */
  readonly contextLength: number;
  /** How keys and values are kept. */
  readonly cacheType: CacheType;
  /** The kernels in use. */
  readonly build: Build;
  /** Threads that compute. */
  readonly threads: number;
  /** The types that the matrices are packed to, those with the most bytes first. */
  readonly layout: string;
  /** Layers whose weights are not kept, but read anew for every pass. */
  readonly streamedLayers: number;
}

/** What every call takes. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called before each job of a pass on behalf of this call; what it throws ends the call. */
  readonly interrupt?: (() => void) | undefined;
}

/** What calls take that can be looked into. */
export interface HookOptions {
  /** Shown each layer of each pass. The whole text is computed for it, and what it has made of the text is not kept. */
  readonly onLayer?: OnLayer | undefined;
}

/** Whose text it is: what is known of it is kept while it has been `open`ed. Undefined: nobody's, for this call only. */
export type Owner = number | undefined;

export interface GenerateIdsOptions
  extends CallOptions,
    HookOptions,
    Pick<GenerateTokensOptions, "maxTokens" | "logprobs" | "keep"> {
  readonly owner?: Owner;
  readonly sampling: SamplerOptions & { readonly seed: number };
  /** The text of a token, for `sampling.dry`. */
  readonly textOf: (id: number) => string;
}

export interface LogitsIdsOptions extends CallOptions, HookOptions {
  readonly owner?: Owner;
  /** Number of the first id whose logits are wanted; the number of ids where none are. */
  readonly from: number;
}

export interface SurpriseOptions extends CallOptions {
  readonly onProgress?: ((scored: number) => void) | undefined;
}

/**
 * A model at work: ids in, ids and logits out. One call computes at a time, in the order of asking; one whose reader pauses gives way to
 * others that wait. What is known of a text's beginning is not computed again.
 *
 * Calls throw what checkIds does, NumericError, ThreadError, and the signal's reason; after dispose() all do.
 */
export interface Engine {
  readonly facts: EngineFacts;
  /** Continues ids. Who takes a token answers whether the text ends with it. */
  generate(
    ids: readonly number[],
    options: GenerateIdsOptions,
  ): AsyncGenerator<GeneratedToken, GenerationEnd, boolean>;
  /** Logits f32[vocabSize] of position after position. */
  logits(ids: readonly number[], options: LogitsIdsOptions): AsyncGenerator<Float32Array, void, undefined>;
  /** The sum of -ln p over ids, in nats, in windows that `bos` begins. */
  surprise(bos: number, ids: readonly number[], options: SurpriseOptions): Promise<number>;
  open(owner: number): void;
  close(owner: number): void;
  /** The ids, and what is known of them, as bytes. */
  save(owner: number, ids: readonly number[], options: CallOptions): Promise<Uint8Array>;
  /** Opens the owner with what bytes hold, and gives their ids. Throws a SnapshotError. */
  restore(owner: number, bytes: Uint8Array, options: CallOptions): Promise<number[]>;
  /** Frees the memory. What is under way rejects at its next step, what waits at once. */
  dispose(): Promise<void>;
}

export interface EngineOptions {
  /** Ids at which texts end. */
  readonly stops: GenerateTokensOptions["stops"];
  /** Where the model's `interrupt` looks for that of the call which computes. */
  readonly interruption?: Interruption | undefined;
  /** See PaceOptions. */
  readonly unhurried?: boolean | undefined;
}

/** The `interrupt` of the call that computes. */
export interface Interruption {
  poll: (() => void) | undefined;
}

export function createEngine(loaded: Llama, options: EngineOptions): Engine {
  let llama: Llama | undefined = loaded;
  const { config, plan } = loaded;
  const shape = { config, plan };
  const interruption = options.interruption ?? { poll: undefined };
  const turns = createTurns();
  const keeper = createPastKeeper(loaded);
  const disposal = new AbortController();
  let nobodies = 0;

  interface Work {
    readonly pace: Pace;
    /** The cache, with what is known of `ids`, once it is this call's turn. */
    hold(ids: readonly number[]): Promise<Past>;
    release(): void;
    end(): void;
  }

  async function begin(
    { signal, interrupt, onLayer }: CallOptions & HookOptions,
    owner: Owner,
  ): Promise<Work> {
    const turn = await turns.take(signal);
    const me = owner ?? --nobodies;
    if (owner === undefined) keeper.open(me); // until the call ends, should others have the cache in between
    let past: Past | undefined;
    return {
      end() {
        if (owner === undefined) keeper.forget(me);
        turn.end();
      },
      pace: createPace([signal, disposal.signal], options),
      async hold(ids) {
        await turn.resume();
        disposal.signal.throwIfAborted();
        interruption.poll = interrupt;
        if (!past || !keeper.has(me)) past = onLayer ? keeper.lend(me, onLayer) : keeper.take(me, ids);
        return past;
      },
      release: turn.pause,
    };
  }

  /** Whether two models compute the same, by the logits of some ids, since all weights are in them. */
  let fingerprint: Promise<readonly [number, number]> | undefined;
  async function fingerprintOf(): Promise<readonly [number, number]> {
    const last = config.vocabSize - 1;
    const ids = [Math.min(1, last), last >> 1, last].slice(0, plan.contextLength);
    for await (const logits of engine.logits(ids, { from: ids.length - 1 })) {
      return checksum(new Uint8Array(logits.buffer, logits.byteOffset, logits.byteLength));
    }
    throw new Error("Cannot tell models apart: expected logits, found none");
  }
  const known = (signal: AbortSignal | undefined) => {
    fingerprint ??= fingerprintOf().catch((error) => {
      fingerprint = undefined; // the next one may have more luck
      throw error;
    });
    return orAborted(fingerprint, signal);
  };

  const engine: Engine = {
    facts: {
      config,
      contextLength: plan.contextLength,
      cacheType: plan.cacheType,
      build: loaded.build,
      threads: loaded.threads,
      layout: packedTypes(plan).join("+"),
      streamedLayers: plan.streamedLayers,
    },
    async *generate(ids, { owner, sampling, textOf, ...call }) {
      checkIds(shape, ids);
      const sample = createSampler(sampling, { vocabSize: config.vocabSize, textOf });
      const work = await begin(call, owner);
      try {
        const { maxTokens, logprobs, keep } = call;
        const { stops } = options;
        return yield* generateTokens(work, ids, {
          sample,
          stops,
          maxTokens,
          logprobs,
          keep,
          pace: work.pace,
        });
      } finally {
        work.end();
      }
    },
    async *logits(ids, { owner, from, ...call }) {
      checkIds(shape, ids);
      const work = await begin(call, owner);
      try {
        // begins anew where another has had the cache in between
        for (let next = from; ; ) {
          const past = await work.hold(ids);
          const first = next;
          for await (const logits of logitsByPosition(past, ids, first, work.pace)) {
            checkFinite(logits);
            next++;
            const known = past.ids.length;
            work.release();
            yield logits;
            if ((await work.hold(ids)).ids.length !== known) break;
          }
          if (next >= ids.length) return;
        }
      } finally {
        work.end();
      }
    },
    async surprise(bos, ids, { onProgress, ...call }) {
      const work = await begin(call, undefined);
      try {
        const past = await work.hold([bos]);
        return await negativeLogLikelihood(past, bos, ids, work.pace, (scored) => onProgress?.(scored));
      } finally {
        work.end();
      }
    },
    open: keeper.open,
    close: keeper.forget,
    async save(owner, ids, call) {
      const print = await known(call.signal);
      const work = await begin(call, owner);
      try {
        await work.hold(ids);
        const { ids: computed, rows } = keeper.copy();
        const { cacheType } = plan;
        return writeSnapshot({ ids, positions: computed.length, rows, cacheType, fingerprint: print });
      } finally {
        work.end();
      }
    },
    async restore(owner, bytes, { signal }) {
      const { ids, positions, rows, cacheType, fingerprint: print } = readSnapshot(bytes);
      const refuse = (expected: unknown, found: unknown) =>
        new SnapshotError(`Cannot restore a session: expected ${expected}, found ${found}`);
      if (cacheType !== plan.cacheType) throw refuse(`a cache of ${plan.cacheType}`, cacheType);
      if (ids.length > plan.contextLength + 1) {
        throw refuse(`at most ${plan.contextLength} tokens, the context's length`, ids.length);
      }
      const own = await known(signal);
      if (own.some((half, i) => half !== print[i])) {
        throw refuse("a session of this model", "one of another model, or of other weights");
      }
      if (rows.length !== cacheBytes(shape, positions)) {
        throw refuse(`${cacheBytes(shape, positions)} bytes of keys and values`, rows.length);
      }
      if (ids.length) checkIds(shape, ids.slice(0, plan.contextLength));
      signal?.throwIfAborted();
      keeper.open(owner);
      keeper.keep(owner, { ids: ids.slice(0, positions), rows: rows.slice() });
      return [...ids];
    },
    async dispose() {
      if (!llama) return;
      const ending = llama;
      llama = undefined;
      const reason = new Error("Cannot go on: the model has been disposed of");
      disposal.abort(reason);
      turns.close(reason);
      keeper.clear();
      await ending.dispose();
    },
  };
  return engine;
}
