// How fast this machine reads memory with some threads, in WebAssembly: what decoding a large model can come up to.

import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { describeMachine, thisMachine } from "../cli/machine.js";
import { limitKernels, limitsModule } from "./limits.js";
import { quartiles } from "./measure.js";

const help = `usage: node dist/bench/read-speed.js [options]

  --threads LIST   numbers of threads, between commas. Default 1,2
  --seconds S      time spent on each round. Default 0.5
  --rounds N       rounds, in which the numbers of threads take turns. Default 5
  --help

Each thread reads its own part of a gigabyte, again and again, with nothing but loads. Prints GB/s (10^9 bytes), median and
quartiles of the rounds, and as its last line the same as JSON.
`;

/** More than any cache holds. */
const BYTES = 2 ** 30;
/** A thread looks at the clock this often. */
const CHUNK = 2 ** 22;

interface Share {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
}

/** What a worker is asked: to read [begin, end) for a time, from the moment that `start` is set. */
interface Order {
  readonly begin: number;
  readonly end: number;
  readonly ms: number;
  readonly start: Int32Array<SharedArrayBuffer>;
}

if (isMainThread) await main();
else await serve(workerData as Share);

async function main(): Promise<void> {
  const { values: options } = parseArgs({
    options: {
      threads: { type: "string", default: "1,2" },
      seconds: { type: "string", default: "0.5" },
      rounds: { type: "string", default: "5" },
      help: { type: "boolean" },
    },
  });
  if (options.help) {
    process.stdout.write(help);
    return;
  }
  const counts = options.threads.split(",").map((text) => positive("--threads", text, { integer: true }));
  const seconds = positive("--seconds", options.seconds);
  const rounds = positive("--rounds", options.rounds, { integer: true });

  const pages = BYTES / 65_536;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  new Uint8Array(memory.buffer).fill(1); // pages that were never written are all the same one
  const module = await limitsModule("simd", { shared: true });
  const workers = Array.from(
    { length: Math.max(...counts) },
    () => new Worker(fileURLToPath(import.meta.url), { workerData: { module, memory } satisfies Share }),
  );
  const machine = thisMachine();
  console.log(describeMachine(machine));
  const speeds = counts.map((): number[] => []);
  await readTogether(workers, Math.min(200, seconds * 1000)); // warms up
  for (let round = 0; round < rounds; round++) {
    for (const [i, count] of counts.entries()) {
      speeds[i]!.push(await readTogether(workers.slice(0, count), seconds * 1000));
    }
  }
  for (const worker of workers) await worker.terminate();
  const results = counts.map((threads, i) => ({ threads, gigabytesPerSecond: quartiles(speeds[i]!) }));
  for (const { threads, gigabytesPerSecond } of results) {
    const { median, lowerQuartile, upperQuartile } = gigabytesPerSecond;
    console.log(
      `${threads} threads: ${median.toFixed(1)} GB/s (quartiles ${lowerQuartile.toFixed(1)} to ${upperQuartile.toFixed(1)})`,
    );
  }
  console.log(JSON.stringify({ bench: "read-speed", machine, results }));
}

/** GB/s of all workers together: the sum of what each reached. */
async function readTogether(workers: readonly Worker[], ms: number): Promise<number> {
  const start = new Int32Array(new SharedArrayBuffer(8)); // ready, go
  const part = Math.floor(BYTES / workers.length / CHUNK) * CHUNK;
  const answers = workers.map(
    (worker, i) =>
      new Promise<number>((resolve, reject) => {
        worker.once("message", resolve);
        worker.once("error", reject);
        worker.postMessage({ begin: i * part, end: (i + 1) * part, ms, start } satisfies Order);
      }),
  );
  while (Atomics.load(start, 0) < workers.length) await new Promise((resolve) => setTimeout(resolve, 1));
  Atomics.store(start, 1, 1);
  Atomics.notify(start, 1);
  const speeds = await Promise.all(answers);
  for (const worker of workers) worker.removeAllListeners("error");
  return speeds.reduce((sum, speed) => sum + speed, 0);
}

async function serve({ module, memory }: Share): Promise<void> {
  const { read_bytes } = await limitKernels(module, memory);
  parentPort!.on("message", ({ begin, end, ms, start }: Order) => {
    Atomics.add(start, 0, 1);
    Atomics.wait(start, 1, 0);
    const began = performance.now();
    let bytes = 0;
    let now = began;
    for (let at = begin; now - began < ms; at = at + CHUNK < end ? at + CHUNK : begin) {
      read_bytes(at, CHUNK);
      bytes += CHUNK;
      now = performance.now();
    }
    parentPort!.postMessage(bytes / (now - began) / 1e6);
  });
}

function positive(option: string, text: string, { integer = false } = {}): number {
  const value = Number(text);
  if (!(value > 0) || !Number.isFinite(value) || (integer && !Number.isInteger(value))) {
    throw new RangeError(`${option}: expected ${integer ? "integers" : "a number"} above 0, found ${text}`);
  }
  return value;
}
