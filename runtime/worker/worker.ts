// Both workers in one script, for `workerUrl`: what it is becomes clear with the first message.

import { crewWork } from "../pool/crew-work.js";
import { ownThread } from "../pool/thread.js";
import type { WorkerOrders } from "../pool/worker-thread.js";
import { engineWork } from "./engine-work.js";
import type { OwnersMessage } from "./messages.js";

const thread = ownThread();
const receive = engineWork(thread);
thread.receive(
  (data) => {
    const message = data as WorkerOrders | OwnersMessage;
    if (message.kind === "compute") crewWork(message, thread);
    else receive(message);
  },
  () => {
    throw new Error("a message could not be read"); // which ends the worker, and its owner is told
  },
);
