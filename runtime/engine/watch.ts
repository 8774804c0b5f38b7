/** Calls back on abort, with one listener for each signal however many watch it: engines warn of a crowd of listeners. */
export function createWatch(): (signal: AbortSignal | undefined, onAbort: () => void) => () => void {
  const watched = new Map<
    AbortSignal,
    { readonly callbacks: Set<() => void>; readonly listener: () => void }
  >();
  return (signal, onAbort) => {
    if (!signal) return () => {};
    let entry = watched.get(signal);
    if (!entry) {
      const callbacks = new Set<() => void>();
      const listener = () => {
        for (const callback of [...callbacks]) callback();
      };
      entry = { callbacks, listener };
      watched.set(signal, entry);
      signal.addEventListener("abort", entry.listener);
    }
    const { callbacks, listener } = entry;
    callbacks.add(onAbort);
    return () => {
      callbacks.delete(onAbort);
      if (callbacks.size || watched.get(signal)?.callbacks !== callbacks) return;
      watched.delete(signal);
      signal.removeEventListener("abort", listener);
    };
  };
}
