import { type CacheType, cacheTypes } from "../runtime/memory/choices.js";
import type { Kernels } from "../runtime/memory/kernel-module.js";
import { attentionScratchBytes, cacheRowBytes } from "../runtime/memory/kv-cache.js";
import { packedAs } from "../runtime/memory/layout.js";
import { encodedBytes, packedBytes, type WeightType, weightTypes } from "../runtime/memory/tensor.js";
import { type Arena, type FileType, fileBytes, type Region } from "./arena.js";

/** One kernel at one shape. */
export interface KernelCase {
  readonly kernel: keyof Kernels;
  readonly shape: string;
  /** How much one call does. */
  readonly work: Work;
  /** Lays out the data in the empty arena, and gives the function that binds it to one build. */
  lay(arena: Arena, first: Kernels): (kernels: Kernels) => Bound;
}

/** What the machine's limits are applied to, and what the speed is stated by. */
export interface Work {
  /**
   * Bytes that have to come from the weights (or from the file, when packing; or from the cache of keys and values), read as often as
   * the kernel reads them. Where there are none, those that are read and written.
   */
  readonly bytes: number;
  /** Different ones among the bytes: what a cache would have to hold. Default: all are. */
  readonly span?: number;
  /** Multiplications and additions, and what takes as long: maxima, divisions. */
  readonly operations: number;
  readonly numbers: "integers" | "floats";
  /** Numbers that come out. */
  readonly elements: number;
  readonly stated: "bytes" | "operations" | "elements";
}

/** exp4 of kernels/lib/inline.ts. */
const EXP_OPERATIONS = 20;

/** The work of a kernel that makes each number from few others. */
function elementwise(elements: number, bytes: number, operations: number): Work {
  return { bytes, operations, numbers: "floats", elements, stated: "elements" };
}

/** What the sums of a weight type are made of. */
function numbersOf(type: WeightType): Work["numbers"] {
  return type === "f32" || type === "f16" ? "floats" : "integers";
}

export interface Bound {
  readonly call: () => void;
  readonly out: Region;
  /** The builds encode activations differently, so those cannot be compared. */
  readonly comparable?: boolean;
}

/** The width of Llama 2 7B. */
const COLS = 4096;
/** Half of what a core's second-level cache usually holds, and more than any cache does. */
const matvecSizes = [
  ["cache", 0.5e6],
  ["memory", 400e6],
] as const;

export const kernelCases: readonly KernelCase[] = [
  ...matvecSizes.flatMap(([where, bytes]) => weightTypes.map((type) => matvec(type, where, bytes))),
  ...weightTypes.map((type) => matmul(type, 512, 64)),
  ...weightTypes.flatMap((type) => [encode(type, 1), encode(type, 4)]),
  rmsnorm(),
  rope(),
  softmax(2048),
  ...cacheTypes.flatMap((type) => [
    attention(type, "TinyLlama", { heads: 32, kvHeads: 4, headDim: 64 }, 2047, 1),
    attention(type, "Llama 2 7B", { heads: 32, kvHeads: 32, headDim: 128 }, 2047, 1),
    attention(type, "TinyLlama", { heads: 32, kvHeads: 4, headDim: 64 }, 1984, 64),
  ]),
  siluMul(11_008),
  add(),
  ...cacheTypes.map(cache),
  ...weightTypes.map(embed),
  ...weightTypes.map(pack),
  ...(["bf16", "q5_0", "iq4_nl", "q3_k"] as const).map(pack),
];

/** The arena that the largest of them needs: a matrix and what it is made from. */
export const ARENA_BYTES = 440e6;

function matvec(type: WeightType, where: string, target: number): KernelCase {
  const rows = 8 * Math.max(1, Math.floor(target / packedBytes(type, 8, COLS)));
  const bytes = packedBytes(type, rows, COLS);
  return {
    kernel: `matvec_${type}`,
    shape: `${where} [${rows}, ${COLS}]`,
    work: {
      bytes,
      operations: 2 * rows * COLS,
      numbers: numbersOf(type),
      elements: rows,
      stated: "bytes",
    },
    lay(arena, first) {
      const weights = arena.weights(first, type, rows, COLS);
      const x = arena.floats(COLS);
      const out = arena.room(rows * 4);
      return (kernels) => {
        const encoded = arena.encoded(type, 1, COLS);
        kernels[`encode_${type}`](encoded.address, x.address, COLS, 1);
        const kernel = kernels[`matvec_${type}`];
        return {
          call: () => kernel(out.address, weights.address, encoded.address, 0, rows, COLS),
          out,
        };
      };
    },
  };
}

function matmul(type: WeightType, rows: number, positions: number): KernelCase {
  return {
    kernel: `matmul_${type}`,
    shape: `[${rows}, ${COLS}] x ${positions}`,
    work: {
      bytes: packedBytes(type, rows, COLS),
      operations: 2 * rows * COLS * positions,
      numbers: numbersOf(type),
      elements: rows * positions,
      stated: "operations",
    },
    lay(arena, first) {
      const weights = arena.weights(first, type, rows, COLS);
      const x = arena.floats(COLS * positions);
      const out = arena.room(rows * positions * 4);
      const tileBytes = 4 * encodedBytes(type, COLS);
      return (kernels) => {
        const encoded = arena.encoded(type, positions, COLS);
        for (let tile = 0; tile < positions / 4; tile++) {
          kernels[`encode_${type}`](
            encoded.address + tile * tileBytes,
            x.address + tile * COLS * 16,
            COLS,
            4,
          );
        }
        const kernel = kernels[`matmul_${type}`];
        return {
          call: () =>
            kernel(
              out.address,
              weights.address,
              encoded.address,
              0,
              rows,
              rows,
              COLS,
              positions / 4,
              tileBytes,
            ),
          out,
        };
      };
    },
  };
}

function encode(type: WeightType, positions: number): KernelCase {
  const elements = positions * COLS;
  const bytes = 4 * elements + positions * encodedBytes(type, COLS);
  // the largest magnitude, and the scaling; floats are only moved
  const operations = numbersOf(type) === "integers" ? 2 * elements : 0;
  return {
    kernel: `encode_${type}`,
    shape: `[${positions}, ${COLS}]`,
    work: elementwise(elements, bytes, operations),
    lay(arena) {
      const x = arena.floats(positions * COLS);
      return (kernels) => {
        const out = arena.encoded(type, positions, COLS);
        const kernel = kernels[`encode_${type}`];
        return { call: () => kernel(out.address, x.address, COLS, positions), out, comparable: false };
      };
    },
  };
}

function rmsnorm(): KernelCase {
  return {
    kernel: "rmsnorm",
    shape: `[1, ${COLS}]`,
    // squares and their sum, and two products
    work: elementwise(COLS, 12 * COLS, 4 * COLS),
    lay(arena) {
      const [x, weight, out] = [arena.floats(COLS), arena.floats(COLS), arena.room(COLS * 4)];
      return ({ rmsnorm }) => ({
        call: () => rmsnorm(out.address, x.address, weight.address, 1, COLS, 1e-5),
        out,
      });
    },
  };
}

/** In place, so it goes on turning: rotations leave the numbers' size as it is. */
function rope(): KernelCase {
  const [heads, headDim] = [32, 128];
  return {
    kernel: "rope",
    shape: `[1, ${heads}, ${headDim}]`,
    // a pair takes four multiplications and two additions
    work: elementwise(heads * headDim, 8 * heads * headDim + 4 * headDim, 3 * heads * headDim),
    lay(arena) {
      const start = arena.floats(heads * headDim);
      const table = arena.room(headDim * 4);
      const angles = new Float32Array(arena.memory.buffer, table.address, headDim);
      for (let i = 0; i < headDim; i += 2) angles.set([Math.cos(i), Math.sin(i)], i);
      return ({ rope }) => {
        const out = arena.copyOf(start);
        return { call: () => rope(out.address, table.address, 1, heads, headDim, headDim), out };
      };
    },
  };
}

/** In place, so the scores level out: no step's time depends on them. */
function softmax(count: number): KernelCase {
  return {
    kernel: "softmax",
    shape: `[${count}]`,
    // the largest, the difference to it, exp, the sum, the quotient
    work: elementwise(count, 8 * count, (EXP_OPERATIONS + 4) * count),
    lay(arena) {
      const start = arena.floats(count);
      return ({ softmax }) => {
        const out = arena.copyOf(start);
        return { call: () => softmax(out.address, count), out };
      };
    },
  };
}

/** One layer's attention. Four queries that share keys and values read them together. */
function attention(
  type: CacheType,
  model: string,
  { heads, kvHeads, headDim }: { heads: number; kvHeads: number; headDim: number },
  position: number,
  positions: number,
): KernelCase {
  const contextLength = position + positions;
  let visible = 0;
  for (let t = 0; t < positions; t++) visible += position + t + 1;
  const units = kvHeads * Math.ceil((positions * (heads / kvHeads)) / 4);
  return {
    kernel: `attention_${type}`,
    shape: `${model} [${heads}/${kvHeads}, ${headDim}] ${positions === 1 ? `position ${position}` : `positions ${position}-${contextLength - 1}`}`,
    work: {
      bytes: (2 * kvHeads * cacheRowBytes(type, headDim) * visible * units) / (kvHeads * positions),
      span: 2 * kvHeads * cacheRowBytes(type, headDim) * contextLength,
      operations: 4 * heads * headDim * visible,
      numbers: "floats",
      elements: positions * heads * headDim,
      stated: "bytes",
    },
    lay(arena, first) {
      const q = arena.floats(positions * heads * headDim);
      const rows = kvHeads * contextLength;
      const [keys, values] = [0, 1].map(() => {
        const x = arena.floats(rows * headDim);
        const cache = arena.room(rows * cacheRowBytes(type, headDim));
        first[`cache_${type}`](cache.address, x.address, 0, contextLength, kvHeads, headDim, contextLength);
        return cache;
      }) as [Region, Region];
      const scratch = arena.room(attentionScratchBytes(headDim, contextLength));
      const out = arena.room(positions * heads * headDim * 4);
      const scale = 1 / Math.sqrt(headDim);
      return (kernels) => ({
        call: () =>
          kernels[`attention_${type}`](
            out.address,
            q.address,
            keys.address,
            values.address,
            scratch.address,
            0,
            units,
            heads,
            heads / kvHeads,
            headDim,
            contextLength,
            position,
            positions,
            scale,
          ),
        out,
      });
    },
  };
}

function siluMul(count: number): KernelCase {
  return {
    kernel: "silu_mul",
    shape: `[${count}]`,
    // exp, an addition, a division, a multiplication
    work: elementwise(count, 12 * count, (EXP_OPERATIONS + 3) * count),
    lay(arena) {
      const [gate, up, out] = [arena.floats(count), arena.floats(count), arena.room(count * 4)];
      return ({ silu_mul }) => ({
        call: () => silu_mul(out.address, gate.address, up.address, count),
        out,
      });
    },
  };
}

function add(): KernelCase {
  return {
    kernel: "add",
    shape: `[${COLS}]`,
    work: elementwise(COLS, 12 * COLS, COLS),
    lay(arena) {
      const [start, x] = [arena.floats(COLS), arena.floats(COLS)];
      return ({ add }) => {
        const out = arena.copyOf(start);
        return { call: () => add(out.address, x.address, COLS), out };
      };
    },
  };
}

function cache(type: CacheType): KernelCase {
  const [heads, headDim, contextLength, position] = [32, 128, 256, 100];
  return {
    kernel: `cache_${type}`,
    shape: `[1, ${heads}, ${headDim}]`,
    work: elementwise(heads * headDim, 8 * heads * headDim, 0),
    lay(arena) {
      const x = arena.floats(heads * headDim);
      const out = arena.room(heads * contextLength * cacheRowBytes(type, headDim));
      return (kernels) => ({
        call: () =>
          kernels[`cache_${type}`](out.address, x.address, position, 1, heads, headDim, contextLength),
        out,
      });
    },
  };
}

function embed(type: WeightType): KernelCase {
  return {
    kernel: `embed_${type}`,
    shape: `[1, ${COLS}]`,
    work: elementwise(COLS, packedBytes(type, 8, COLS) / 8 + 4 * COLS, type === "f32" ? 0 : COLS),
    lay(arena, first) {
      const weights = arena.weights(first, type, 64, COLS);
      const out = arena.room(COLS * 4);
      return (kernels) => {
        const kernel = kernels[`embed_${type}`];
        return { call: () => kernel(out.address, weights.address, 13, COLS), out };
      };
    },
  };
}

function pack(type: FileType): KernelCase {
  const rows = 64;
  const packedType = packedAs[type.toUpperCase() as Uppercase<FileType>];
  return {
    kernel: `pack_${type}`,
    shape: `[${rows}, ${COLS}]`,
    work: {
      bytes: fileBytes(type, rows, COLS),
      operations: 0,
      numbers: "integers",
      elements: rows * COLS,
      stated: "bytes",
    },
    lay(arena) {
      const source = arena.fileRows(type, rows, COLS);
      const out = arena.room(packedBytes(packedType, rows, COLS));
      return (kernels) => {
        const kernel = kernels[`pack_${type}`];
        return { call: () => kernel(out.address, source.address, rows, COLS), out };
      };
    },
  };
}
