/** How the weights of one type are stored in a file: blocks of `blockSize` weights in `blockBytes` bytes. */
export interface TensorTypeInfo {
  readonly blockSize: number;
  readonly blockBytes: number;
}

/** The types whose tensors can be read. The names are ggml's. */
export const tensorTypes = {
  F32: { blockSize: 1, blockBytes: 4 },
  F16: { blockSize: 1, blockBytes: 2 },
  BF16: { blockSize: 1, blockBytes: 2 },
  Q8_0: { blockSize: 32, blockBytes: 34 }, // f16 scale, 32 x i8
  Q4_0: { blockSize: 32, blockBytes: 18 }, // f16 scale, 16 bytes of two 4-bit weights
  Q4_1: { blockSize: 32, blockBytes: 20 }, // the same and an f16 minimum
  Q5_0: { blockSize: 32, blockBytes: 22 }, // as Q4_0 and 4 bytes of fifth bits
  Q5_1: { blockSize: 32, blockBytes: 24 }, // the same and an f16 minimum
  IQ4_NL: { blockSize: 32, blockBytes: 18 }, // as Q4_0, but each 4 bits stand for one of sixteen fixed levels
  Q2_K: { blockSize: 256, blockBytes: 84 }, // 4-bit scale and minimum for every 16, 64 bytes of four 2-bit weights, f16 scale and minimum
  Q3_K: { blockSize: 256, blockBytes: 110 }, // 32 bytes of high bits, 64 of low ones, 6-bit scale for every 16, f16 scale
  Q4_K: { blockSize: 256, blockBytes: 144 }, // f16 scale and minimum, 6 bits of each for every 32, 128 bytes of two 4-bit weights
  Q5_K: { blockSize: 256, blockBytes: 176 }, // the same and 32 bytes of fifth bits
  Q6_K: { blockSize: 256, blockBytes: 210 }, // 128 bytes of low bits, 64 of high ones, 16 x i8 scale, f16 scale
} as const satisfies Record<string, TensorTypeInfo>;

export type TensorType = keyof typeof tensorTypes;

/** Bytes of one row of `cols` weights, as a file stores it; `cols` is a multiple of the type's block size. */
export function rowBytes(type: TensorType, cols: number): number {
  const { blockSize, blockBytes } = tensorTypes[type];
  return (cols / blockSize) * blockBytes;
}
