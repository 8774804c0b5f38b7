import { type TensorType, tensorTypes } from "../runtime/formats/tensor-types.js";

/**
 * The bytes a file would hold for these f32 weights, as ggml's reference quantizers make them (`quantize_row_*_ref`
 * in `ggml-quants.c`; all arithmetic in f32). Layouts as in dequantize.ts.
 *
 *   F16, BF16   nearest, ties to even
 *   Q8_0        d = amax / 127, q = x / d rounded half away from zero
 *   Q4_0        d = (the value of largest magnitude) / -8, q = min(15, trunc(x / d + 8.5))
 */
export function quantize(type: TensorType, weights: Float32Array): Uint8Array {
  const { blockSize, blockBytes } = tensorTypes[type];
  const blocks = weights.length / blockSize;
  if (!Number.isInteger(blocks)) {
    throw new RangeError(
      `Cannot quantize to ${type}: expected a multiple of ${blockSize} weights, found ${weights.length}`,
    );
  }
  const bytes = new Uint8Array(blocks * blockBytes);
  const view = new DataView(bytes.buffer);
  for (let block = 0; block < blocks; block++) {
    writeBlock[type](weights.subarray(block * blockSize, (block + 1) * blockSize), view, block * blockBytes);
  }
  return bytes;
}

const writeBlock: Record<TensorType, (weights: Float32Array, view: DataView, at: number) => void> = {
  F32(weights, view, at) {
    view.setFloat32(at, weights[0]!, true);
  },

  F16(weights, view, at) {
    view.setUint16(at, numberToF16(weights[0]!), true);
  },

  BF16(weights, view, at) {
    view.setUint16(at, f32ToBf16(weights[0]!), true);
  },

  Q8_0(weights, view, at) {
    const amax = Math.abs(largestMagnitude(weights));
    const d = Math.fround(amax / 127);
    const inverse = d === 0 ? 0 : Math.fround(1 / d);
    view.setUint16(at, numberToF16(d), true);
    for (let j = 0; j < 32; j++) {
      view.setInt8(at + 2 + j, roundHalfAway(Math.fround(weights[j]! * inverse)));
    }
  },

  Q4_0(weights, view, at) {
    const d = Math.fround(largestMagnitude(weights) / -8);
    const inverse = d === 0 ? 0 : Math.fround(1 / d);
    const nibble = (x: number) =>
      Math.min(15, Math.trunc(Math.fround(Math.fround(x * inverse) + Math.fround(8.5))));
    view.setUint16(at, numberToF16(d), true);
    for (let j = 0; j < 16; j++) {
      view.setUint8(at + 2 + j, nibble(weights[j]!) | (nibble(weights[j + 16]!) << 4));
    }
  },
};

/** The first of the values whose magnitude no other exceeds, with its sign. */
function largestMagnitude(values: Float32Array): number {
  let largest = 0;
  for (const value of values) if (Math.abs(value) > Math.abs(largest)) largest = value;
  return largest;
}

function roundHalfAway(x: number): number {
  return Math.sign(x) * Math.floor(Math.abs(x) + 0.5);
}

/** The IEEE binary16 bits nearest to x, ties to even; from 65,520 on it is infinity. */
function numberToF16(x: number): number {
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(x);
  if (Number.isNaN(x)) return 0x7e00;
  if (magnitude >= 65520) return sign | 0x7c00;
  // Counted in units of its last place, the value is an integer to round; below 2^-14 that place is 2^-24 (subnormal).
  let exponent = -14;
  while (exponent < 15 && magnitude >= 2 ** (exponent + 1)) exponent++;
  const units = roundHalfEven(magnitude * 2 ** (10 - exponent));
  // Exponent and fraction are one number: a fraction that rounds up to 2048 carries into the exponent by itself.
  return sign | (((exponent + 14) << 10) + units);
}

function roundHalfEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}

/** The upper 16 bits of an f32, the lower ones rounded to nearest, ties to even; a NaN stays one. */
function f32ToBf16(x: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, x);
  const bits = view.getUint32(0);
  if (Number.isNaN(x)) return (bits >>> 16) | 0x40;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}
