// A worker of the crew: the script that its thread runs.

import { crewWork } from "./crew-work.js";
import { ownThread } from "./thread.js";
import type { WorkerMessage, WorkerOrders } from "./worker-thread.js";

const thread = ownThread();
thread.receive(
  (orders) => crewWork(orders as WorkerOrders, thread),
  () => {
    const reason = "its orders could not be read";
    thread.send({ kind: "failed", reason } satisfies WorkerMessage);
    thread.end();
  },
);
