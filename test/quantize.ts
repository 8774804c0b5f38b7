import { type TensorType, tensorTypes } from "../runtime/formats/tensor-types.js";
import { iq4Levels } from "./dequantize.js";

/**
 * The bytes a file would hold for these f32 weights, as ggml's reference quantizers make them (`quantize_row_*_ref`
 * in `ggml-quants.c`; all arithmetic in f32). Layouts as in dequantize.ts.
 *
 *   F16, BF16   nearest, ties to even
 *   Q8_0        d = amax / 127, q = x / d rounded half away from zero
 *   Q4_0        d = (the value of largest magnitude) / -8, q = min(15, trunc(x / d + 8.5))
 *
 *   Q4_1        m = the smallest, d = (largest - m) / 15, q = min(15, trunc((x - m) / d + 0.5))
 *   Q5_0        d = (the value of largest magnitude) / -16, q = min(31, trunc(x / d + 16.5))
 *
 *   Q5_1        as Q4_1, with 31 instead of 15
 *
 * Only IQ4_NL and the k-quants differ from ggml, which searches for the scales of least error: here a block's or sub-block's scale
 * and minimum span its values, and are rounded to 6 (Q6_K: 8, Q2_K: 4) bits of the block's largest.
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

  Q4_1(weights, view, at) {
    const q = writeScaleAndMinimum(weights, 15, view, at);
    for (let j = 0; j < 16; j++) view.setUint8(at + 4 + j, q[j]! | (q[j + 16]! << 4));
  },

  Q5_0(weights, view, at) {
    const d = Math.fround(largestMagnitude(weights) / -16);
    const inverse = d === 0 ? 0 : Math.fround(1 / d);
    const q = Array.from(weights, (x) =>
      Math.min(31, Math.trunc(Math.fround(Math.fround(x * inverse) + Math.fround(16.5)))),
    );
    view.setUint16(at, numberToF16(d), true);
    view.setUint32(at + 2, fifthBits(q), true);
    for (let j = 0; j < 16; j++) view.setUint8(at + 6 + j, (q[j]! & 15) | ((q[j + 16]! & 15) << 4));
  },

  Q5_1(weights, view, at) {
    const q = writeScaleAndMinimum(weights, 31, view, at);
    view.setUint32(at + 4, fifthBits(q), true);
    for (let j = 0; j < 16; j++) view.setUint8(at + 8 + j, (q[j]! & 15) | ((q[j + 16]! & 15) << 4));
  },

  IQ4_NL(weights, view, at) {
    const d = f16Rounded(largestMagnitude(weights) / -127);
    const nearest = (x: number) => {
      const errors = iq4Levels.map((level) => Math.abs(d * level - x));
      return errors.indexOf(Math.min(...errors));
    };
    view.setUint16(at, numberToF16(d), true);
    for (let j = 0; j < 16; j++) {
      view.setUint8(at + 2 + j, nearest(weights[j]!) | (nearest(weights[j + 16]!) << 4));
    }
  },

  Q2_K(weights, view, at) {
    const { d, dmin, scales, minimums, q } = scalesAndMinimums(weights, 16, 15, 3);
    view.setUint16(at + 80, numberToF16(d), true);
    view.setUint16(at + 82, numberToF16(dmin), true);
    for (let j = 0; j < 16; j++) view.setUint8(at + j, scales[j]! | (minimums[j]! << 4));
    for (let i = 0; i < 256; i++) {
      const byte = at + 16 + 32 * (i >> 7) + (i & 31);
      view.setUint8(byte, view.getUint8(byte) | (q[i]! << (2 * ((i >> 5) & 3))));
    }
  },

  Q3_K(weights, view, at) {
    // the value of largest magnitude of each sub-block is to become -4
    const ideal = Array.from({ length: 16 }, (_, j) => {
      return largestMagnitude(weights.subarray(16 * j, 16 * j + 16)) / -4;
    });
    const d = f16Rounded(largestMagnitude(Float32Array.from(ideal)) / -32);
    view.setUint16(at + 108, numberToF16(d), true);
    const add = (byte: number, bits: number) => view.setUint8(byte, view.getUint8(byte) | bits);
    const scales = ideal.map((scale) => (d === 0 ? 0 : clamp(Math.round(scale / d), -32, 31)));
    scales.forEach((scale, s) => {
      add(at + 96 + (s % 8), ((scale + 32) & 15) << (s < 8 ? 0 : 4));
      add(at + 104 + (s % 4), ((scale + 32) >> 4) << (2 * (s >> 2)));
    });
    for (let i = 0; i < 256; i++) {
      const scale = scales[i >> 4]!;
      const q = scale === 0 ? 4 : clamp(Math.round(weights[i]! / (d * scale)), -4, 3) + 4;
      const [half, part, j] = [i >> 7, (i >> 5) & 3, i & 31];
      add(at + 32 + 32 * half + j, (q & 3) << (2 * part));
      add(at + j, (q >> 2) << (4 * half + part));
    }
  },

  Q4_K(weights, view, at) {
    const q = writeScalesAndMinimums(weights, 15, view, at);
    for (let i = 0; i < 128; i++) {
      const low = 64 * (i >> 5) + (i & 31);
      view.setUint8(at + 16 + i, q[low]! | (q[low + 32]! << 4));
    }
  },

  Q5_K(weights, view, at) {
    const q = writeScalesAndMinimums(weights, 31, view, at);
    for (let i = 0; i < 128; i++) {
      const low = 64 * (i >> 5) + (i & 31);
      view.setUint8(at + 48 + i, (q[low]! & 15) | ((q[low + 32]! & 15) << 4));
    }
    for (let i = 0; i < 256; i++) {
      const byte = at + 16 + (i & 31);
      view.setUint8(byte, view.getUint8(byte) | ((q[i]! >> 4) << (i >> 5)));
    }
  },

  Q6_K(weights, view, at) {
    // the value of largest magnitude of each sub-block is to become -32
    const ideal = Array.from({ length: 16 }, (_, j) => {
      return largestMagnitude(weights.subarray(16 * j, 16 * j + 16)) / -32;
    });
    const d = f16Rounded(largestMagnitude(Float32Array.from(ideal)) / -128);
    view.setUint16(at + 208, numberToF16(d), true);
    for (let i = 0; i < 256; i++) {
      const scale = d === 0 ? 0 : clamp(Math.round(ideal[i >> 4]! / d), -128, 127);
      view.setInt8(at + 192 + (i >> 4), scale);
      const q = scale === 0 ? 32 : clamp(Math.round(weights[i]! / (d * scale)), -32, 31) + 32;
      const [half, part, j] = [i >> 7, (i >> 5) & 3, i & 31];
      const low = at + 64 * half + 32 * (part & 1) + j;
      const high = at + 128 + 32 * half + j;
      view.setUint8(low, view.getUint8(low) | ((q & 15) << (part < 2 ? 0 : 4)));
      view.setUint8(high, view.getUint8(high) | ((q >> 4) << (2 * part)));
    }
  },
};

/** Writes the first 4 bytes of a Q4_1 or Q5_1 block, and returns its weights as 0..highest. */
function writeScaleAndMinimum(
  weights: Float32Array,
  highest: number,
  view: DataView,
  at: number,
): readonly number[] {
  const m = Math.min(...weights);
  const d = Math.fround((Math.max(...weights) - m) / highest);
  const inverse = d === 0 ? 0 : Math.fround(1 / d);
  view.setUint16(at, numberToF16(d), true);
  view.setUint16(at + 2, numberToF16(m), true);
  return Array.from(weights, (x) =>
    Math.min(highest, Math.trunc(Math.fround(Math.fround(Math.fround(x - m) * inverse) + 0.5))),
  );
}

/** Bit 4 of each of 32 weights. */
function fifthBits(q: readonly number[]): number {
  return q.reduce((bits, five, i) => bits + (five >> 4) * 2 ** i, 0);
}

/** Writes the first 16 bytes of a Q4_K or Q5_K block, and returns its weights as 0..highest. */
function writeScalesAndMinimums(
  weights: Float32Array,
  highest: number,
  view: DataView,
  at: number,
): Uint8Array {
  const { d, dmin, scales, minimums, q } = scalesAndMinimums(weights, 32, 63, highest);
  view.setUint16(at, numberToF16(d), true);
  view.setUint16(at + 2, numberToF16(dmin), true);
  const bits = (byte: number, value: number) =>
    view.setUint8(at + 4 + byte, view.getUint8(at + 4 + byte) | value);
  for (let j = 0; j < 4; j++) {
    bits(j, scales[j]!);
    bits(j + 4, minimums[j]!);
  }
  for (let j = 4; j < 8; j++) {
    bits(j + 4, (scales[j]! & 15) | ((minimums[j]! & 15) << 4));
    bits(j - 4, (scales[j]! >> 4) << 6);
    bits(j, (minimums[j]! >> 4) << 6);
  }
  return q;
}

/**
 * 256 weights as q in 0..highest with a scale and a minimum, 0..steps, for each sub-block of `size`:
 * about d * scale * q - dmin * minimum.
 */
function scalesAndMinimums(weights: Float32Array, size: number, steps: number, highest: number) {
  const blocks = Array.from({ length: 256 / size }, (_, j) => weights.subarray(size * j, size * (j + 1)));
  const lowest = blocks.map((block) => Math.max(0, -Math.min(...block)));
  const spans = blocks.map((block, j) => (Math.max(0, ...block) + lowest[j]!) / highest);
  const d = f16Rounded(Math.max(...spans) / steps);
  const dmin = f16Rounded(Math.max(...lowest) / steps);
  const inSteps = (value: number, step: number) =>
    step === 0 ? 0 : clamp(Math.round(value / step), 0, steps);
  const scales = spans.map((span) => inSteps(span, d));
  const minimums = lowest.map((value) => inSteps(value, dmin));
  const q = Uint8Array.from(weights, (weight, i) => {
    const j = Math.floor(i / size);
    const level = scales[j] === 0 ? 0 : (weight + dmin * minimums[j]!) / (d * scales[j]!);
    return clamp(Math.round(level), 0, highest);
  });
  return { d, dmin, scales, minimums, q };
}

function clamp(x: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, x));
}

/** x rounded to a half float; for the finite ones. */
function f16Rounded(x: number): number {
  const bits = numberToF16(x);
  const exponent = Math.max(1, (bits >> 10) & 31);
  const fraction = (bits & 1023) + (bits & 0x7c00 ? 1024 : 0);
  return (bits & 0x8000 ? -1 : 1) * fraction * 2 ** (exponent - 25);
}

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
