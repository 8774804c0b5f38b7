import type { Stage } from "./stage.js";

/** How a tensor's numbers lie in a stage's memory. All but f32 rows are weights, packed in groups of 8 rows (see kernels/). */
export type WeightType = keyof typeof layouts;

/** Packed matrices: bytes that 8 rows of `cols` columns take, and the most that encoding one position of activations for them takes. */
const layouts = {
  f32: { cols: 1, groupBytes: 32, encodedBytes: 4 },
  f16: { cols: 1, groupBytes: 16, encodedBytes: 4 },
  q8_0: { cols: 32, groupBytes: 272, encodedBytes: 68 },
  q4_0: { cols: 32, groupBytes: 144, encodedBytes: 72 },
  q4_1: { cols: 32, groupBytes: 160, encodedBytes: 76 },
  q5_1: { cols: 32, groupBytes: 288, encodedBytes: 72 },
  q2_k: { cols: 256, groupBytes: 704, encodedBytes: 548 },
  q4_k: { cols: 256, groupBytes: 1216, encodedBytes: 532 },
  q5_k: { cols: 256, groupBytes: 1472, encodedBytes: 532 },
  q6_k: { cols: 256, groupBytes: 1696, encodedBytes: 580 },
} as const;

export const weightTypes = Object.keys(layouts) as WeightType[];

/** Bytes of a packed matrix [rows, cols]; rows are rounded up to 8. */
export function packedBytes(type: WeightType, rows: number, cols: number): number {
  const layout = layouts[type];
  return Math.ceil(rows / 8) * (cols / layout.cols) * layout.groupBytes;
}

/** Bytes to reserve for one position's activations f32[cols] in the encoding that matrices of `type` multiply with. */
export function encodedBytes(type: WeightType, cols: number): number {
  const layout = layouts[type];
  return (cols / layout.cols) * layout.encodedBytes;
}

/** A plain array of f32 in a stage's memory, row-major, shape outermost first. */
export class Tensor {
  constructor(
    readonly stage: Stage,
    /** Byte offset in the stage's memory. */
    readonly address: number,
    readonly shape: readonly number[],
  ) {}

  /** Product of the shape. */
  get length(): number {
    return this.shape.reduce((product, size) => product * size, 1);
  }

  /** A live view; it stays valid, since a stage's memory never grows. */
  view(): Float32Array {
    return new Float32Array(this.stage.memory.buffer, this.address, this.length);
  }

  /** Rows [begin, end) of the outermost dimension, sharing this tensor's memory. */
  rows(begin: number, end: number): Tensor {
    const [count = 0, ...inner] = this.shape;
    if (begin < 0 || end > count || begin > end) {
      throw new RangeError(`Cannot take rows ${begin} to ${end}: the tensor has ${count}`);
    }
    const rowBytes = 4 * inner.reduce((product, size) => product * size, 1);
    return new Tensor(this.stage, this.address + begin * rowBytes, [end - begin, ...inner]);
  }
}

/** A packed matrix of weights [rows, cols] in a stage's memory. */
export class Matrix {
  constructor(
    readonly stage: Stage,
    readonly address: number,
    readonly type: WeightType,
    readonly rows: number,
    readonly cols: number,
  ) {}

  /** Address of the group of 8 rows that `row`, a multiple of 8, begins. */
  groupAddress(row: number): number {
    return this.address + packedBytes(this.type, row, this.cols);
  }
}
