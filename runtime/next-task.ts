/**
 * Resolves in a later task, so that timers, input and rendering get their turn between two steps of a long computation. A
 * resolved promise would not do: its reactions run before any of them. setTimeout would, but browsers hold it back for 4 ms.
 */
export const nextTask: () => Promise<void> =
  typeof setImmediate === "function"
    ? () => new Promise((resolve) => setImmediate(resolve))
    : () =>
        new Promise((resolve) => {
          const { port1, port2 } = new MessageChannel();
          port1.onmessage = () => {
            port1.close();
            resolve();
          };
          port2.postMessage(undefined);
        });
