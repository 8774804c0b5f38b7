/** First come, first served: one holder at a time. */
export interface Turns {
  /** Resolves, when it is the caller's turn, with the function that ends it. Rejects with the signal's reason if that comes first. */
  take(signal?: AbortSignal): Promise<() => void>;
}

export function createTurns(): Turns {
  let last: Promise<void> = Promise.resolve();
  return {
    async take(signal) {
      signal?.throwIfAborted();
      let end!: () => void;
      const before = last;
      const mine = new Promise<void>((resolve) => {
        end = resolve;
      });
      last = before.then(() => mine);
      if (!signal) {
        await before;
        return end;
      }
      let stopWaiting!: () => void;
      const aborted = new Promise<never>((_, reject) => {
        stopWaiting = () => reject(signal.reason);
        signal.addEventListener("abort", stopWaiting);
      });
      try {
        await Promise.race([before, aborted]);
      } catch (reason) {
        end(); // those behind wait for the ones before only
        throw reason;
      } finally {
        signal.removeEventListener("abort", stopWaiting);
      }
      return end;
    },
  };
}
