import { type TensorType, tensorTypes } from "../runtime/formats/tensor-types.js";

/**
 * The weights that the bytes of a file stand for, exactly: every value of these types is a float64.
 *
 * Layouts are those of ggml (`ggml-common.h`, `dequantize_row_*` in `ggml-quants.c`), little-endian:
 *
 *   F32    f32                              w = x
 *   F16    IEEE binary16                    w = x
 *   BF16   the upper half of an f32         w = x
 *   Q8_0   d: f16, qs: i8[32]               w[j] = d * qs[j]
 *   Q4_0   d: f16, qs: u8[16]               w[j] = d * (low nibble of qs[j] - 8), j = 0..15
 *                                           w[j + 16] = d * (high nibble of qs[j] - 8)
 */
export function dequantize(type: TensorType, bytes: Uint8Array): Float64Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { blockSize, blockBytes } = tensorTypes[type];
  const blocks = bytes.length / blockBytes;
  if (!Number.isInteger(blocks)) {
    throw new RangeError(
      `Cannot dequantize ${type}: expected a multiple of ${blockBytes} bytes, found ${bytes.length}`,
    );
  }
  const weights = new Float64Array(blocks * blockSize);
  for (let block = 0; block < blocks; block++) {
    readBlock[type](view, block * blockBytes, weights.subarray(block * blockSize, (block + 1) * blockSize));
  }
  return weights;
}

const readBlock: Record<TensorType, (view: DataView, at: number, out: Float64Array) => void> = {
  F32(view, at, out) {
    out[0] = view.getFloat32(at, true);
  },

  F16(view, at, out) {
    out[0] = f16ToNumber(view.getUint16(at, true));
  },

  BF16(view, at, out) {
    const f32 = new DataView(new ArrayBuffer(4));
    f32.setUint32(0, view.getUint16(at, true) << 16);
    out[0] = f32.getFloat32(0);
  },

  Q8_0(view, at, out) {
    const d = f16ToNumber(view.getUint16(at, true));
    for (let j = 0; j < 32; j++) out[j] = d * view.getInt8(at + 2 + j);
  },

  Q4_0(view, at, out) {
    const d = f16ToNumber(view.getUint16(at, true));
    for (let j = 0; j < 16; j++) {
      const pair = view.getUint8(at + 2 + j);
      out[j] = d * ((pair & 15) - 8);
      out[j + 16] = d * ((pair >> 4) - 8);
    }
  },
};

/** The value of IEEE binary16 bits: sign, 5 bits of exponent (bias 15), 10 bits of fraction. */
function f16ToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}
