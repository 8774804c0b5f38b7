// A worker of the crew at work: a thread with an instance of the kernels in every stage's memory, which computes chunks of the leader's jobs.

import { bindJobs } from "../memory/jobs.js";
import { kernelImports } from "../memory/kernel-imports.js";
import type { Kernels } from "../memory/kernel-module.js";
import { type Claim, JobSlot } from "./job-slot.js";
import type { OwnThread } from "./thread.js";
import type { WorkerMessage, WorkerOrders } from "./worker-thread.js";

/** How often to look for a job before sleeping: some hundreds of microseconds, more than the leader takes between two jobs of a pass. */
const LOOKS = 30_000;

/** Computes chunks of jobs until it is told to stop. */
export function crewWork(orders: WorkerOrders, thread: OwnThread): void {
  try {
    work(orders, () => thread.send({ kind: "ready" } satisfies WorkerMessage));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    thread.send({ kind: "failed", reason } satisfies WorkerMessage);
  }
  thread.end();
}

function work({ module, memories, slot: buffer, thread }: WorkerOrders, ready: () => void): void {
  // without the loader, whose exports would be wrapped: import maps don't reach workers, so nothing here imports a package
  const stages = memories.map((memory) =>
    bindJobs(new WebAssembly.Instance(module, kernelImports(memory)).exports as unknown as Kernels),
  );
  const slot = new JobSlot(buffer);
  ready();

  const claim: Claim = { job: 0, stage: 0, begin: 0, end: 0 };
  for (let looks = 0; !slot.stopped; looks++) {
    if (slot.claim(claim)) {
      looks = 0;
      try {
        slot.finish(stages[claim.stage]![claim.job]!(slot.args, claim.begin, claim.end, thread));
      } catch (error) {
        slot.fail();
        throw error;
      }
    } else if (looks >= LOOKS) {
      slot.sleep();
      looks = 0;
    }
  }
}
