// A worker of the crew: a thread with an instance of the kernels in every stage's memory, which computes chunks of the leader's jobs.

import { bindJobs } from "../memory/jobs.js";
import { instantiateKernels } from "../memory/kernel-module.js";
import type { WorkerMessage, WorkerOrders } from "./crew.js";
import { type Claim, JobSlot } from "./job-slot.js";

/** How often to look for a job before sleeping: some hundreds of microseconds, more than the leader takes between two jobs of a pass. */
const LOOKS = 30_000;

async function work({ module, memories, slot: buffer, thread }: WorkerOrders): Promise<void> {
  const stages = [];
  for (const memory of memories) stages.push(bindJobs(await instantiateKernels(module, memory)));
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

const parent = globalThis.process?.getBuiltinModule?.("node:worker_threads").parentPort;

function send(message: WorkerMessage): void {
  (parent ?? (globalThis as unknown as MessagePort)).postMessage(message);
}

/** In Node a worker ends when nothing more can come; in a browser it is ended from outside. */
async function receive(orders: WorkerOrders): Promise<void> {
  try {
    await work(orders);
  } catch (error) {
    send({ kind: "failed", reason: error instanceof Error ? error.message : String(error) });
  }
  parent?.close();
}

if (parent) parent.once("message", receive);
else globalThis.addEventListener("message", ({ data }) => receive(data), { once: true });
