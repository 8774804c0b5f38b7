import { ThreadError } from "../errors.js";
import { bindJobs, type JobFunction } from "../memory/jobs.js";
import { instantiateKernels } from "../memory/kernel-module.js";
import type { Crew } from "../memory/stage.js";
import { type Claim, JobSlot } from "./job-slot.js";
import { startWorker, type WorkerThread } from "./worker-thread.js";

/** What a worker is told at its start. */
export interface WorkerOrders {
  readonly module: WebAssembly.Module;
  /** The stages'. */
  readonly memories: readonly WebAssembly.Memory[];
  readonly slot: SharedArrayBuffer;
  /** Its number, 1 and up; the leader is 0. */
  readonly thread: number;
}

/** What a worker tells. */
export type WorkerMessage = { readonly kind: "ready" } | { readonly kind: "failed"; readonly reason: string };

export interface CrewOptions {
  /** With the leader, who is the caller; 2 or more. */
  readonly threads: number;
  /** The kernels for shared memories. */
  readonly module: WebAssembly.Module;
  readonly memories: readonly WebAssembly.Memory[];
}

export interface WorkerCrew extends Crew {
  /** Says that a thread can't be counted on any more: each further job throws a ThreadError with the reason. */
  lose(reason: string): void;
  /** Resolves when all workers have started; rejects with a ThreadError when one could not. */
  readonly ready: Promise<void>;
  /** Ends the workers; resolves when they are gone. Nothing may be under way. */
  dispose(): Promise<void>;
}

/** How often the leader looks whether the others have finished before it sleeps: about the time that waking it takes. */
const LOOKS = 20_000;
/** After this time without a chunk finished a worker counts as lost. No chunk takes longer than some milliseconds. */
const LOST_MS = 10_000;

/**
 * Threads on shared memories. The workers take part as soon as they have started; until then, and whenever they sleep, the
 * leader computes all alone.
 */
export async function createCrew({ threads, module, memories }: CrewOptions): Promise<WorkerCrew> {
  const stages: (readonly JobFunction[])[] = [];
  for (const memory of memories) stages.push(bindJobs(await instantiateKernels(module, memory)));
  const slot = new JobSlot();
  let lost: ThreadError | undefined;

  const workers: WorkerThread[] = [];
  const lose = (reason: string) => {
    lost ??= new ThreadError(`Cannot compute: expected ${threads} threads at work, ${reason}`);
    slot.stop();
  };
  const started = Array.from({ length: threads - 1 }, (_, i) => {
    const thread = i + 1;
    return new Promise<void>((resolve, reject) => {
      const fail = (reason: string) => {
        if (!slot.stopped) lose(reason);
        reject(lost ?? new ThreadError(`Cannot compute: thread ${reason}`));
      };
      const orders: WorkerOrders = { module, memories, slot: slot.buffer, thread };
      const worker = startWorker<WorkerOrders, WorkerMessage>(orders, {
        message: (message) =>
          message.kind === "ready" ? resolve() : fail(`number ${thread} failed: ${message.reason}`),
        ended: (reason) => fail(`number ${thread} ${reason}`),
      });
      workers.push(worker);
    });
  });
  const ready = Promise.all(started).then(() => {});
  ready.catch(() => {}); // who awaits it later is told then

  const claim: Claim = { job: 0, stage: 0, begin: 0, end: 0 };
  let maySleep = true;

  /** Waits for the chunks that others have claimed. */
  function meet(): void {
    for (let looks = 0; looks < LOOKS; looks++) if (slot.allFinished) return;
    let finished = slot.finished;
    let since = performance.now();
    while (!slot.allFinished) {
      if (maySleep) {
        try {
          slot.sleepUntilFinished(100);
        } catch {
          maySleep = false;
        }
      }
      if (slot.finished !== finished) {
        finished = slot.finished;
        since = performance.now();
      } else if (performance.now() - since > LOST_MS) {
        lose(`one has not answered for ${LOST_MS / 1000} seconds`);
        throw lost;
      }
    }
  }

  return {
    threads,
    ready,
    lose,
    run(stage, job, units, chunk, args) {
      if (lost) throw lost;
      for (let i = 0; i < args.length; i++) slot.args[i] = args[i]!;
      slot.post(stage, job, units, chunk);
      const compute = stages[stage]![job]!;
      let failure: unknown;
      while (slot.claim(claim)) {
        try {
          slot.finish(compute(slot.args, claim.begin, claim.end, 0));
        } catch (error) {
          failure = error;
          slot.fail();
        }
      }
      meet();
      if (slot.failed) {
        lose("one failed in a kernel");
        throw failure ?? lost;
      }
      return slot.refused;
    },
    async dispose() {
      slot.stop();
      await Promise.all(workers.map((worker) => worker.end()));
    },
  };
}
