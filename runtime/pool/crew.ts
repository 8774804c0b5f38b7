import { ThreadError } from "../errors.js";
import { bindJobs, type JobFunction } from "../memory/jobs.js";
import { instantiateKernels } from "../memory/kernel-module.js";
import type { Crew } from "../memory/stage.js";
import { type Claim, JobSlot } from "./job-slot.js";
import { startWorker, type WorkerThread } from "./worker-thread.js";

export interface CrewOptions {
  /** With the leader, who is the caller; 2 or more. */
  readonly threads: number;
  /** The kernels for shared memories. */
  readonly module: WebAssembly.Module;
  readonly memories: readonly WebAssembly.Memory[];
  /** The workers' script; default: this package's. */
  readonly workerUrl?: string | URL | undefined;
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
/** After this time of waiting without a chunk finished a worker counts as lost; Chromium tells of its end before, Firefox and WebKit only when the leader no longer waits. Long ones, of attention over a million positions, take ten seconds. */
const LOST_MS = 60_000;
/** The leader looks again after this time, if nobody wakes it. */
const NAP_MS = 100;
/** After this time a worker counts as not to be started. */
const START_MS = 30_000;

/**
 * Threads on shared memories. The workers take part as soon as they have started; until then, and whenever they sleep, the
 * leader computes all alone.
 */
export async function createCrew({ threads, module, memories, workerUrl }: CrewOptions): Promise<WorkerCrew> {
  const stages: (readonly JobFunction[])[] = [];
  for (const memory of memories) stages.push(bindJobs(await instantiateKernels(module, memory)));
  const slot = new JobSlot();
  let lost: ThreadError | undefined;

  const workers: WorkerThread[] = [];
  const lose = (reason: string) => {
    lost ??= new ThreadError(`Cannot compute: expected ${threads} threads at work, ${reason}`);
    slot.stop();
  };
  const start = (thread: number) =>
    new Promise<void>((resolve, reject) => {
      const gone = (reason: string) => {
        clearTimeout(timer);
        if (lost) lost.cause ??= reason;
        else lose(`number ${thread} ${reason}`);
        reject(lost);
      };
      const timer = setTimeout(gone, START_MS, `has not started for ${START_MS / 1000} seconds`);
      const ready = () => {
        clearTimeout(timer);
        resolve();
      };
      try {
        const orders = { kind: "compute", module, memories, slot: slot.buffer, thread } as const;
        workers.push(startWorker(orders, { ready, gone }, slot.stopWord, workerUrl));
      } catch (error) {
        gone(`could not be started: ${error instanceof Error ? error.message : String(error)}`);
      }
    });
  const ready = Promise.all(Array.from({ length: threads - 1 }, (_, i) => start(i + 1))).then(() => {});
  ready.catch(() => {}); // who awaits it later is told then

  const claim: Claim = { job: 0, stage: 0, begin: 0, end: 0 };
  let maySleep = true;

  /** Waits for the chunks that others have claimed. */
  function meet(): void {
    for (let looks = 0; looks < LOOKS; looks++) if (slot.allFinished) return;
    let finished = slot.finished;
    let waited = 0;
    for (let last = performance.now(); !slot.allFinished; ) {
      if (maySleep) {
        try {
          slot.sleepUntilFinished(NAP_MS);
        } catch {
          maySleep = false;
        }
      }
      const now = performance.now();
      // while the process is suspended or the page frozen the clock goes on, and the workers don't
      waited = slot.finished === finished ? waited + Math.min(now - last, 2 * NAP_MS) : 0;
      finished = slot.finished;
      last = now;
      if (slot.stopped) lose("one has ended");
      else if (waited > LOST_MS) lose(`one has not answered for ${LOST_MS / 1000} seconds`);
      if (lost) throw lost;
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
      lost ??= new ThreadError("Cannot compute: the threads have been ended");
      slot.stop();
      await Promise.all(workers.map((worker) => worker.end()));
    },
  };
}
