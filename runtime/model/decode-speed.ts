import type { Checkpoint } from "../formats/checkpoint.js";
import { rowBytes, type TensorType } from "../formats/tensor-types.js";
import { chooseBuild } from "../memory/choose-build.js";
import { bindJobs, jobNumbers } from "../memory/jobs.js";
import { FIRST_PAGE_BYTES, instantiateKernels } from "../memory/kernel-module.js";
import { cacheRowBytes } from "../memory/kv-cache.js";
import { layerNames, packedAs } from "../memory/layout.js";
import type { Plan } from "../memory/plan.js";
import { PAGE_BYTES } from "../memory/slots.js";
import { packedBytes, type WeightType } from "../memory/tensor.js";
import { createCrew } from "../pool/crew.js";

/** How fast a model would write, in tokens per second. */
export interface DecodeSpeed {
  /** At the beginning of a text. */
  readonly first: number;
  /** Where the context is full. */
  readonly last: number;
}

/** How long the kernels are measured in all; packing, and reading from the source, each as long where layers are streamed. */
const PROBE_MS = 200;
/** Weights to measure with: as many as the model has, as far as that is more than caches hold and no more than takes long to write. */
const PROBE_BYTES = { least: 2 ** 22, most: 2 ** 27 };
/** Share of a pass below which a type of weights is not worth measuring; it counts as the slowest. */
const LEAST_SHARE = 0.05;
/** Bytes that are asked for at once, and how many such reads are under way together. */
const READ = { bytes: 2 ** 22, together: 4 };

/**
 * Predicts how fast a model decodes by its plan, with a fifth of a second of measuring: the kernels' products with a vector, of a matrix
 * that is as large as the model or no cache holds; where layers are streamed also packing, and reading some of the source. For each token all weights
 * and the cache so far are read, which is nearly all of the time; what the rest takes is not counted, so that models of some megabytes
 * come out too fast. What the system has cached of a file reads faster than what it has not.
 */
export async function predictDecoding(
  checkpoint: Checkpoint,
  plan: Plan,
  threads: number,
): Promise<DecodeSpeed> {
  const { config } = checkpoint;
  const weights = weightsOfPass(plan);
  const size = Math.min(PROBE_BYTES.most, Math.max(PROBE_BYTES.least, sumOf(weights)));
  const bench = await createBench(threads, size, Math.max(config.dim, config.hiddenDim));
  try {
    const compute = secondsFor(weights, bench.products);
    const perPosition = 2 * config.nLayers * config.nKvHeads * cacheRowBytes(plan.cacheType, config.headDim);
    const cache = compute * ((perPosition * plan.contextLength) / sumOf(weights));

    const streamed = weightsStreamed(checkpoint, plan.streamedLayers);
    const pack = streamed.size ? secondsFor(streamed, bench.packing) : 0;
    const read = streamed.size ? sumOf(streamed) / (await readingRate(checkpoint)) : 0;
    // the next layer is read while one is packed and computed
    const perSecond = (seconds: number) => 1 / Math.max(read, pack + seconds);
    return { first: perSecond(compute), last: perSecond(compute + cache) };
  } finally {
    await bench.end();
  }
}

/** Weights of one type: their bytes, and the columns that one of their matrices has. */
interface Weights {
  bytes: number;
  readonly cols: number;
}

function count<T>(all: Map<T, Weights>, type: T, bytes: number, cols: number): void {
  const weights = all.get(type);
  if (weights) weights.bytes += bytes;
  else all.set(type, { bytes, cols });
}

function sumOf(all: ReadonlyMap<unknown, Weights>): number {
  let sum = 0;
  for (const { bytes } of all.values()) sum += bytes;
  return sum;
}

/** The packed weights that one pass over one position reads. */
function weightsOfPass({ stages }: Plan): Map<WeightType, Weights> {
  const all = new Map<WeightType, Weights>();
  for (const { layers, head } of stages) {
    const slots = layers.flatMap((layer) => Object.values(layer));
    for (const slot of head ? [...slots, head.output] : slots) {
      if ("rows" in slot) count(all, slot.type, packedBytes(slot.type, slot.rows, slot.cols), slot.cols);
    }
  }
  return all;
}

/** The matrices of the last layers, in the file's form. */
function weightsStreamed({ config, tensors }: Checkpoint, layers: number): Map<TensorType, Weights> {
  const all = new Map<TensorType, Weights>();
  for (let layer = config.nLayers - layers; layer < config.nLayers; layer++) {
    for (const name of Object.values(layerNames)) {
      const { type, shape } = tensors.get(`blk.${layer}.${name}.weight`)!;
      const [rows, cols] = shape;
      if (cols !== undefined) count(all, type, rows! * rowBytes(type, cols), cols);
    }
  }
  return all;
}

/** How long all of the weights take, by the bytes per second that are measured for those types that make up more than a little. */
function secondsFor<T>(
  all: ReadonlyMap<T, Weights>,
  measure: (type: T, cols: number, ms: number) => number,
): number {
  const least = LEAST_SHARE * sumOf(all);
  const types = [...all].filter(([, { bytes }]) => bytes >= least);
  const rates = new Map(
    types.map(([type, { cols }]) => [type, measure(type, cols, PROBE_MS / types.length)]),
  );
  const slowest = Math.min(...rates.values());
  let seconds = 0;
  for (const [type, { bytes }] of all) seconds += bytes / (rates.get(type) ?? slowest);
  return seconds;
}

/** The kernels on a memory of their own, with as many threads as the model would have. Rates are bytes per second. */
interface Bench {
  /** Of packed weights, in products with a vector. */
  readonly products: (type: WeightType, cols: number, ms: number) => number;
  /** Of weights in the file's form, which are packed. */
  readonly packing: (type: TensorType, cols: number, ms: number) => number;
  end(): Promise<void>;
}

async function createBench(threads: number, bytes: number, mostCols: number): Promise<Bench> {
  const shared = threads > 1;
  const { module } = await chooseBuild(undefined, shared);
  // the encoded vector, the results, and weights: groups of eight rows, so that the last one may go past `bytes`
  const x = FIRST_PAGE_BYTES;
  const out = x + 8 * mostCols;
  const weights = out + bytes / 4;
  const pages = Math.ceil((weights + bytes + 64 * mostCols) / PAGE_BYTES);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared });
  new Uint8Array(memory.buffer, weights).fill(1); // pages that were never written are all the same one
  const crew = shared ? await createCrew({ threads, module, memories: [memory] }) : undefined;
  const jobs = crew ? [] : bindJobs(await instantiateKernels(module, memory));
  await crew?.ready;

  /** Rows per second of a job, after a warm-up of a third of the time. */
  function rowsPerSecond(job: number, rows: number, args: readonly number[], ms: number): number {
    const chunk = 8 * Math.ceil(rows / (8 * threads) / 8);
    const numbers = Float64Array.from(args);
    const run = () => (crew ? crew.run(0, job, rows, chunk, args) : jobs[job]!(numbers, 0, rows, 0));
    const began = performance.now();
    let from = began;
    let runs = 0;
    for (let now = began; now - began < ms || runs === 0; now = performance.now()) {
      if (from === began && now - began >= ms / 3) {
        from = now;
        runs = 0;
      }
      run();
      runs++;
    }
    return (1000 * runs * rows) / (performance.now() - from);
  }

  return {
    products(type, cols, ms) {
      const groupBytes = packedBytes(type, 8, cols);
      const rows = 8 * Math.ceil(bytes / groupBytes);
      const job = jobNumbers[`matvec_${type}`];
      return (groupBytes / 8) * rowsPerSecond(job, rows, [x, cols, out, weights, rows], ms);
    },
    packing(type, cols, ms) {
      const stride = rowBytes(type, cols);
      // a quarter of the weights' room is packed into the rest of it: no type becomes more than twice as large
      const rows = 8 * Math.max(1, Math.floor(bytes / 4 / (8 * stride)));
      const job = jobNumbers[`pack_${type.toLowerCase() as Lowercase<TensorType>}`];
      const groupBytes = packedBytes(packedAs[type], 8, cols);
      const packed = weights + bytes / 4 + 8 * stride;
      return stride * rowsPerSecond(job, rows, [packed, weights, cols, groupBytes, stride], ms);
    },
    end: async () => crew?.dispose(),
  };
}

/** Bytes per second of reading the last layers' largest matrices from the source. */
async function readingRate(checkpoint: Checkpoint): Promise<number> {
  const { config, tensors } = checkpoint;
  const began = performance.now();
  let bytes = 0;
  for (let layer = config.nLayers - 1; layer >= 0; layer--) {
    const tensor = tensors.get(`blk.${layer}.ffn_gate.weight`)!;
    const [rows, cols] = tensor.shape as [number, number];
    const step = Math.max(1, Math.floor(READ.bytes / rowBytes(tensor.type, cols)));
    for (let begin = 0; begin < rows; begin += READ.together * step) {
      const starts = Array.from({ length: READ.together }, (_, i) => Math.min(begin + i * step, rows));
      const pieces = await Promise.all(
        starts.map((start) => checkpoint.readRows(tensor, start, Math.min(start + step, rows))),
      );
      for (const piece of pieces) bytes += piece.length;
      if (performance.now() - began > PROBE_MS) return (1000 * bytes) / (performance.now() - began);
    }
  }
  return (1000 * bytes) / (performance.now() - began);
}
