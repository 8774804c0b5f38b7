import { Bench } from "tinybench";

/** Times of single calls, in milliseconds. */
export interface Timing {
  readonly median: number;
  readonly lowerQuartile: number;
  readonly upperQuartile: number;
  readonly samples: number;
  /** Calls that one sample is the mean of: short kernels are called several times, so that the clock does not count. */
  readonly callsPerSample: number;
}

/** Samples shorter than this, or than so many steps of the clock, would measure the clock: in a page it may go by whole milliseconds. */
const SAMPLE_MS = 0.1;
const SAMPLE_STEPS = 50;
/** Every variant is measured this often, in turn: what else the machine does then hits all of them. */
const ROUNDS = 4;
/** V8 needs a few calls and a millisecond or two a function until the optimized code is in place. */
const WARM_UP = { ms: 100, calls: 5 };

/** Measures functions against each other, each for `seconds` in all. */
export function measureInTurn(functions: readonly (() => void)[], seconds: number): Timing[] {
  const sampleMs = Math.max(SAMPLE_MS, SAMPLE_STEPS * clockStep(() => performance.now()));
  const variants = functions.map((call) => {
    const callsPerSample = Math.max(1, Math.ceil(sampleMs / warmUp(call)));
    const samples: number[] = [];
    return { call, callsPerSample, samples };
  });
  for (let round = 0; round < ROUNDS; round++) {
    for (const { call, callsPerSample, samples } of variants) {
      const bench = new Bench({
        time: (seconds * 1000) / ROUNDS,
        iterations: 3,
        warmup: false, // done above
        retainSamples: true,
        throws: true,
      });
      bench.add("call", () => {
        for (let i = 0; i < callsPerSample; i++) call();
      });
      const [task] = bench.runSync();
      const result = task!.result;
      if (result.state !== "completed")
        throw new Error(`expected a completed measurement, found ${result.state}`);
      samples.push(...result.latency.samples!.map((ms) => ms / callsPerSample));
    }
  }
  return variants.map(({ samples, callsPerSample }) => ({ ...quartiles(samples), callsPerSample }));
}

/** The smallest of a few steps that a clock makes: browsers let it go by 5 microseconds to a millisecond. */
export function clockStep(now: () => number): number {
  let smallest = Number.POSITIVE_INFINITY;
  for (let steps = 0, before = now(); steps < 10; ) {
    const after = now();
    if (after === before) continue;
    smallest = Math.min(smallest, after - before);
    before = after;
    steps++;
  }
  return smallest;
}

/** Calls until the optimized code runs; returns the milliseconds of one call, by the second half of them. */
function warmUp(call: () => void): number {
  const begin = performance.now();
  let half = begin;
  let calls = 0;
  let callsInHalf = 0;
  for (;;) {
    call();
    calls++;
    const now = performance.now();
    if (half === begin && now - begin >= WARM_UP.ms / 2) {
      half = now;
      callsInHalf = calls;
    }
    if (now - begin >= WARM_UP.ms && calls >= Math.max(WARM_UP.calls, callsInHalf + 1)) {
      return (now - half) / (calls - callsInHalf);
    }
  }
}

/** Median and quartiles, between two samples where they fall there. */
export function quartiles(
  samples: readonly number[],
): Pick<Timing, "median" | "lowerQuartile" | "upperQuartile" | "samples"> {
  const sorted = Float64Array.from(samples).sort();
  const at = (fraction: number) => {
    const place = fraction * (sorted.length - 1);
    const below = sorted[Math.floor(place)]!;
    return below + (sorted[Math.ceil(place)]! - below) * (place - Math.floor(place));
  };
  return { median: at(0.5), lowerQuartile: at(0.25), upperQuartile: at(0.75), samples: sorted.length };
}
