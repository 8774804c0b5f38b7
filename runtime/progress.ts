/** How far something is that takes a while. */
export interface Progress {
  /** Bytes done: of the weights, of the file that is checked, of the new file. */
  readonly loaded: number;
  /** Bytes in all. */
  readonly total: number;
  /**
   * What is being done: `weights` are read into memory, from a server while they are downloaded; `check` is the rest of a file's
   * SHA-256 where one is known; `write` is a new file.
   */
  readonly phase: "weights" | "check" | "write";
  /** Of the last seconds. 0 at the first report. */
  readonly bytesPerSecond: number;
  /** At that rate; undefined until there is one. */
  readonly secondsLeft: number | undefined;
}

/** How long a rate looks back: long enough to be steady on a network, short enough to notice when it falls. */
const windowMs = 5000;
/** Reports that are looked back at are at least so far apart, whatever their number. */
const sampleMs = 100;

/** Reports progress with its rate: a function of the bytes done. */
export function createProgress(
  phase: Progress["phase"],
  total: number,
  onProgress: ((progress: Progress) => void) | undefined,
): (loaded: number) => void {
  const samples = [{ at: performance.now(), loaded: 0 }];
  return (loaded) => {
    const now = performance.now();
    while (samples.length > 1 && samples[1]!.at <= now - windowMs) samples.shift();
    const since = samples[0]!;
    const bytesPerSecond = now > since.at ? (1000 * (loaded - since.loaded)) / (now - since.at) : 0;
    const secondsLeft = bytesPerSecond > 0 ? (total - loaded) / bytesPerSecond : undefined;
    if (now >= samples.at(-1)!.at + sampleMs) samples.push({ at: now, loaded });
    onProgress?.({ loaded, total, phase, bytesPerSecond, secondsLeft });
  };
}
