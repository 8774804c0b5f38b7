/** What the promise gives, or the signal's reason if that comes first. */
export async function orAborted<T>(promise: Promise<T> | T, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  signal.throwIfAborted();
  let abort!: () => void;
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort);
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** A signal that follows another one until it is let go. What is opened with it may be used longer than the other one is listened to. */
export function followingSignal(signal: AbortSignal | undefined): {
  readonly signal: AbortSignal | undefined;
  letGo(): void;
} {
  if (!signal) return { signal, letGo() {} };
  const controller = new AbortController();
  const abort = () => controller.abort(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort);
  return { signal: controller.signal, letGo: () => signal.removeEventListener("abort", abort) };
}
