import { type TensorType, tensorTypes } from "../formats/tensor-types.js";
import { type CacheType, cacheTypes } from "./choices.js";
import type { Kernels } from "./kernel-module.js";
import { type WeightType, weightTypes } from "./tensor.js";

// Jobs: the kernels' work, cut into units that do not depend on each other, so that threads can share it. Each result is computed by one
// thread in one order, hence the same bits for any number of threads and any cut.

/**
 * Computes units [begin, end) of a job. `thread` numbers who does it, for those that need room of their own. Returns, where a job can refuse a unit, the
 * first one that it did; otherwise ALL.
 */
export type JobFunction = (args: Float64Array, begin: number, end: number, thread: number) => number;

/** What a job returns that has refused no unit. */
export const ALL = -1;

/** Most arguments that a job has. */
export const MAX_JOB_ARGS = 16;

const kinds = {
  /** out, x, weight, dim, eps; a unit is a position */
  rmsnorm:
    ({ rmsnorm }: Kernels): JobFunction =>
    (a, begin, end) => {
      const bytes = 4 * a[3]!;
      rmsnorm(a[0]! + begin * bytes, a[1]! + begin * bytes, a[2]!, end - begin, a[3]!, a[4]!);
      return ALL;
    },
  /** x, table, heads, headDim, ropeDim; a unit is a position */
  rope:
    ({ rope }: Kernels): JobFunction =>
    (a, begin, end) => {
      rope(a[0]! + begin * 4 * a[2]! * a[3]!, a[1]! + begin * 4 * a[4]!, end - begin, a[2]!, a[3]!, a[4]!);
      return ALL;
    },
  /** gate, up; a unit is an element */
  siluMul:
    ({ silu_mul }: Kernels): JobFunction =>
    (a, begin, end) => {
      const gate = a[0]! + 4 * begin;
      silu_mul(gate, gate, a[1]! + 4 * begin, end - begin);
      return ALL;
    },
  /** x, delta; a unit is an element */
  add:
    ({ add }: Kernels): JobFunction =>
    (a, begin, end) => {
      add(a[0]! + 4 * begin, a[1]! + 4 * begin, end - begin);
      return ALL;
    },
} as const;

const kindsByWeight = {
  /** encoded, x, cols, positions, bytes of a position; a unit is a tile of four positions, the last ones may be fewer */
  encode: (kernels: Kernels, type: WeightType): JobFunction => {
    const encode = kernels[`encode_${type}`];
    return (a, begin, end) => {
      for (let position = 4 * begin; position < Math.min(4 * end, a[3]!); ) {
        const tile = a[3]! - position >= 4 ? 4 : 1;
        encode(a[0]! + position * a[4]!, a[1]! + position * 4 * a[2]!, a[2]!, tile);
        position += tile;
      }
      return ALL;
    };
  },
  /** encoded, cols, then the matrices; a unit is a row */
  matvec: (kernels: Kernels, type: WeightType): JobFunction => {
    const matvec = kernels[`matvec_${type}`];
    return (a, begin, end) => {
      eachMatrix(a, 2, begin, end, (out, weights, _, from, to) => {
        matvec(out, weights, a[0]!, from, to, a[1]!);
      });
      return ALL;
    };
  },
  /** encoded, cols, tiles, bytes of a tile, then the matrices; a unit is a row */
  matmul: (kernels: Kernels, type: WeightType): JobFunction => {
    const matmul = kernels[`matmul_${type}`];
    return (a, begin, end) => {
      eachMatrix(a, 4, begin, end, (out, weights, rows, from, to) => {
        matmul(out, weights, a[0]!, from, to, rows, a[1]!, a[2]!, a[3]!);
      });
      return ALL;
    };
  },
} as const;

/** Most matrices of one matvec or matmul job. */
export const MAX_JOB_MATRICES = Math.floor((MAX_JOB_ARGS - 4) / 3);

/** Units that a matrix of so many rows is of: whole groups of 8, so that each matrix of a job begins with one. */
export function rowUnits(rows: number): number {
  return Math.ceil(rows / 8) * 8;
}

/** Calls `multiply` with the rows [from, to) that units [begin, end) are of each matrix. Arguments `at` and on are out, weights, rows of one after the other. */
function eachMatrix(
  a: Float64Array,
  at: number,
  begin: number,
  end: number,
  multiply: (out: number, weights: number, rows: number, from: number, to: number) => void,
): void {
  for (let i = at, first = 0; first < end; i += 3) {
    const rows = a[i + 2]!;
    const from = Math.max(begin - first, 0);
    const to = Math.min(end - first, rows);
    if (from < to) multiply(a[i]!, a[i + 1]!, rows, from, to);
    first += rowUnits(rows);
  }
}

const kindsByCache = {
  /**
   * out, q, keys, values, scratch, bytes of a thread's scratch, heads, headsPerKv, headDim, contextLength, position, positions, scale;
   * a unit is what the kernel calls one
   */
  attention: (kernels: Kernels, type: CacheType): JobFunction => {
    const attention = kernels[`attention_${type}`];
    return (a, begin, end, thread) => {
      const scratch = a[4]! + thread * a[5]!;
      // biome-ignore format: a list of arguments
      attention(a[0]!, a[1]!, a[2]!, a[3]!, scratch, begin, end, a[6]!, a[7]!, a[8]!, a[9]!, a[10]!, a[11]!, a[12]!);
      return ALL;
    };
  },
} as const;

const kindsByFile = {
  /** matrix, source, cols, bytes of 8 packed rows, bytes of a row in the file; a unit is a row, refused where it holds an infinity or a NaN */
  pack: (kernels: Kernels, type: FileType): JobFunction => {
    const pack = kernels[`pack_${type}`];
    return (a, begin, end) => {
      const bad = pack(a[0]! + (begin / 8) * a[3]!, a[1]! + begin * a[4]!, end - begin, a[2]!);
      return bad < 0 ? ALL : begin + bad;
    };
  },
} as const;

/** The types of a file's matrices, as the kernels spell them. */
type FileType = Lowercase<TensorType>;

type JobName =
  | keyof typeof kinds
  | `${keyof typeof kindsByWeight}_${WeightType}`
  | `${keyof typeof kindsByCache}_${CacheType}`
  | `${keyof typeof kindsByFile}_${FileType}`;

const binders = new Map<JobName, (kernels: Kernels) => JobFunction>(
  Object.entries(kinds) as [keyof typeof kinds, (kernels: Kernels) => JobFunction][],
);
for (const kind of Object.keys(kindsByWeight) as (keyof typeof kindsByWeight)[]) {
  for (const type of weightTypes) {
    binders.set(`${kind}_${type}`, (kernels) => kindsByWeight[kind](kernels, type));
  }
}
for (const type of cacheTypes) {
  binders.set(`attention_${type}`, (kernels) => kindsByCache.attention(kernels, type));
}
for (const type of Object.keys(tensorTypes) as TensorType[]) {
  const name = type.toLowerCase() as FileType;
  binders.set(`pack_${name}`, (kernels) => kindsByFile.pack(kernels, name));
}

/** A job's number, by which threads name it to each other. */
export const jobNumbers = Object.fromEntries([...binders.keys()].map((name, i) => [name, i])) as Readonly<
  Record<JobName, number>
>;

/** All jobs on one instance of the kernels, by their numbers. */
export function bindJobs(kernels: Kernels): readonly JobFunction[] {
  return [...binders.values()].map((bind) => bind(kernels));
}
