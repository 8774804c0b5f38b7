/** First come, first served: one holder at a time. */
export interface Turns {
  /**
   * Resolves, when it is the caller's turn, with the function that ends it. Rejects with the signal's reason if that comes first.
   * An abort also ends a turn that has begun: whoever holds it must not compute any more.
   */
  take(signal?: AbortSignal): Promise<() => void>;
  /** Rejects all who wait and all who will come, and ends the turn that is under way. */
  close(reason: unknown): void;
}

interface Turn {
  begin(): void;
  refuse(reason: unknown): void;
}

export function createTurns(): Turns {
  /** The first one holds the turn. */
  const queue: Turn[] = [];
  let closed: { readonly reason: unknown } | undefined;
  const watch = createWatch();

  function leave(turn: Turn): void {
    const place = queue.indexOf(turn);
    if (place < 0) return;
    queue.splice(place, 1);
    if (place === 0) queue[0]?.begin();
  }

  return {
    async take(signal) {
      signal?.throwIfAborted();
      if (closed) throw closed.reason;
      return new Promise((resolve, reject) => {
        const end = () => {
          unwatch();
          leave(turn);
        };
        const turn: Turn = { begin: () => resolve(end), refuse: reject };
        const unwatch = watch(signal, () => {
          leave(turn);
          turn.refuse(signal!.reason);
        });
        queue.push(turn);
        if (queue[0] === turn) turn.begin();
      });
    },
    close(reason) {
      closed = { reason };
      for (const turn of queue.splice(0)) turn.refuse(reason);
    },
  };
}

/** Calls back on abort, with one listener for each signal however many watch it: engines warn of a crowd of listeners. */
function createWatch(): (signal: AbortSignal | undefined, onAbort: () => void) => () => void {
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
