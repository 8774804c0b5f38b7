// A worker of the crew: a thread with an instance of the kernels in every stage's memory, which computes chunks of the leader's jobs.

import { bindJobs } from "../memory/jobs.js";
import { kernelImports } from "../memory/kernel-imports.js";
import type { Kernels } from "../memory/kernel-module.js";
import { type Claim, JobSlot } from "./job-slot.js";
import { ownThread } from "./thread.js";
import type { WorkerMessage, WorkerOrders } from "./worker-thread.js";

/** How often to look for a job before sleeping: some hundreds of microseconds, more than the leader takes between two jobs of a pass. */
const LOOKS = 30_000;

const own = ownThread<WorkerOrders>();

function work({ module, memories, slot: buffer, thread }: WorkerOrders): void {
  // without the loader, whose exports would be wrapped: import maps don't reach workers, so nothing here imports a package
  const stages = memories.map((memory) =>
    bindJobs(new WebAssembly.Instance(module, kernelImports(memory)).exports as unknown as Kernels),
  );
  const slot = new JobSlot(buffer);
  send({ kind: "ready" });

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

function send(message: WorkerMessage): void {
  own.send(message);
}

function receive(orders: WorkerOrders): void {
  try {
    work(orders);
  } catch (error) {
    send({ kind: "failed", reason: error instanceof Error ? error.message : String(error) });
  }
  own.end();
}

own.receive(receive, () => {
  send({ kind: "failed", reason: "its orders could not be read" });
  own.end();
});
