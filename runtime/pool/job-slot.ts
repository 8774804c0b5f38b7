import { ALL, MAX_JOB_ARGS } from "../memory/jobs.js";
import type { SharedWord } from "./thread.js";

/** 32-bit words of the slot. What different threads write again and again lies in different cache lines. */
const REMAINING = 0; // chunks that nobody has claimed; below 0 when more was asked for
const FINISHED = 16; // chunks that are computed
const WAKING = 32; // counts wake-ups; sleepers wait on it
const SLEEPERS = 33; // workers that sleep, or are about to
const LEADER_WAITS = 48; // 1 while the leader sleeps on FINISHED
const FAILED = 49; // 1 when a chunk of the job threw
const STOPPED = 50; // 1 when the workers are to end
const REFUSED = 51; // the first unit that was refused; NONE where none was
const JOB = 64;
const STAGE = 65;
const UNITS = 66;
const CHUNK = 67;
const CHUNKS = 68;
const NONE = 2 ** 31 - 1;
const ARGS_BYTE = 512;
const BYTES = ARGS_BYTE + 8 * MAX_JOB_ARGS;

/** Units [begin, end) of a job, claimed by one thread. */
export interface Claim {
  job: number;
  stage: number;
  begin: number;
  end: number;
}

/**
 * What leader and workers share: one job at a time, and who has taken how much of it. The leader posts a job; everyone claims chunks of it
 * until none is left; the leader goes on when all chunks are finished. Chunks are counted, not workers, so one that sleeps or comes late
 * delays nobody: whoever has claimed a chunk knows that the job it is of can't end before, and that its arguments stand.
 */
export class JobSlot {
  readonly args: Float64Array;
  readonly #words: Int32Array;

  constructor(readonly buffer: SharedArrayBuffer = new SharedArrayBuffer(BYTES)) {
    this.#words = new Int32Array(buffer, 0, ARGS_BYTE / 4);
    this.args = new Float64Array(buffer, ARGS_BYTE, MAX_JOB_ARGS);
  }

  /** The leader's: makes a job known and wakes who sleeps. The one before is finished. */
  post(stage: number, job: number, units: number, chunk: number): void {
    const words = this.#words;
    const chunks = Math.ceil(units / chunk);
    words[JOB] = job;
    words[STAGE] = stage;
    words[UNITS] = units;
    words[CHUNK] = chunk;
    words[CHUNKS] = chunks;
    words[REFUSED] = NONE;
    Atomics.store(words, FINISHED, 0);
    Atomics.store(words, REMAINING, chunks);
    if (Atomics.load(words, SLEEPERS) > 0) this.#wake();
  }

  /** Takes a chunk of the job that is posted, if there is one left. */
  claim(into: Claim): boolean {
    const words = this.#words;
    if (Atomics.load(words, REMAINING) <= 0) return false;
    const left = Atomics.sub(words, REMAINING, 1);
    if (left <= 0) return false;
    const chunk = words[CHUNK]!;
    into.job = words[JOB]!;
    into.stage = words[STAGE]!;
    into.begin = (words[CHUNKS]! - left) * chunk;
    into.end = Math.min(into.begin + chunk, words[UNITS]!);
    return true;
  }

  /** Says that a claimed chunk threw; it counts as finished. */
  fail(): void {
    Atomics.store(this.#words, FAILED, 1);
    this.finish(ALL);
  }

  /** Says that a claimed chunk is done, with what its job returned. */
  finish(refused: number): void {
    const words = this.#words;
    if (refused !== ALL) {
      let first = Atomics.load(words, REFUSED);
      while (refused < first) {
        const seen = Atomics.compareExchange(words, REFUSED, first, refused);
        if (seen === first) break;
        first = seen;
      }
    }
    const finished = Atomics.add(words, FINISHED, 1) + 1;
    if (finished === words[CHUNKS] && Atomics.load(words, LEADER_WAITS)) Atomics.notify(words, FINISHED);
  }

  get finished(): number {
    return Atomics.load(this.#words, FINISHED);
  }

  get allFinished(): boolean {
    return Atomics.load(this.#words, FINISHED) === this.#words[CHUNKS];
  }

  /** The first unit of the finished job that was refused, or ALL. */
  get refused(): number {
    const first = Atomics.load(this.#words, REFUSED);
    return first === NONE ? ALL : first;
  }

  get failed(): boolean {
    return Atomics.load(this.#words, FAILED) === 1;
  }

  /** The leader's: sleeps until all chunks are finished, or for some milliseconds. Throws where the engine forbids it: on a page. */
  sleepUntilFinished(milliseconds: number): void {
    const words = this.#words;
    Atomics.store(words, LEADER_WAITS, 1);
    const finished = Atomics.load(words, FINISHED);
    try {
      if (finished !== words[CHUNKS]) Atomics.wait(words, FINISHED, finished, milliseconds);
    } finally {
      Atomics.store(words, LEADER_WAITS, 0);
    }
  }

  /** A worker's: sleeps until a job is posted or the workers are to end. */
  sleep(): void {
    const words = this.#words;
    const waking = Atomics.load(words, WAKING);
    // counted before looking once more: either the leader sees the sleeper, or the sleeper sees the job
    Atomics.add(words, SLEEPERS, 1);
    if (Atomics.load(words, REMAINING) <= 0 && !this.stopped) Atomics.wait(words, WAKING, waking);
    Atomics.sub(words, SLEEPERS, 1);
  }

  /** Tells the workers to end. */
  stop(): void {
    Atomics.store(this.#words, STOPPED, 1);
    this.#wake();
  }

  /** What makes `stopped` true when it is 1. */
  get stopWord(): SharedWord {
    return { buffer: this.buffer, index: STOPPED };
  }

  get stopped(): boolean {
    return Atomics.load(this.#words, STOPPED) === 1;
  }

  #wake(): void {
    Atomics.add(this.#words, WAKING, 1);
    Atomics.notify(this.#words, WAKING);
  }
}
