// The worker that a model computes in: the script that its thread runs.

import { ownThread } from "../pool/thread.js";
import { engineWork } from "./engine-work.js";
import type { OwnersMessage } from "./messages.js";

const thread = ownThread();
const receive = engineWork(thread);
thread.receive(
  (message) => receive(message as OwnersMessage),
  () => {
    throw new Error("a message could not be read"); // which ends the worker, and its owner is told
  },
);
