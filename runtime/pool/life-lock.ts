// Whether a worker of a browser still lives. A browser tells nobody that a worker has ended, but then gives away the locks that it held. So
// each holds one, and who wants to know asks for it.

/** Takes a lock for as long as this thread lives. Its name, or none where there are no locks: in pages that are not secure. */
export async function holdLock(): Promise<string | undefined> {
  if (!navigator.locks) return undefined;
  const name = `cria-${crypto.getRandomValues(new Uint32Array(4)).join("-")}`;
  return new Promise((resolve) => {
    const hold = () => {
      resolve(name);
      return new Promise(() => {});
    };
    navigator.locks.request(name, hold).catch(() => resolve(undefined));
  });
}

/** Calls a function when the thread that holds a lock has ended. */
export function whenFree(lock: string, then: () => void): void {
  // shared with others who ask: one may be given the lock and be busy
  navigator.locks.request(lock, { mode: "shared" }, then).catch(() => {}); // of a page that is being closed
}
