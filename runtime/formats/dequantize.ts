import { halfToNumber } from "./floats.js";
import { ggmlTypeNamed } from "./ggml-types.js";
import type { TensorType } from "./tensor-types.js";

/**
 * Blocks of weights as a file has them, turned into f32. For what is done once, such as conversion: models compute on packed blocks.
 *
 * Layouts are those of ggml (ggml-common.h), little-endian. d and dmin are half floats.
 *
 *     Q8_0    d, i8[32]                               w[j] = d * q[j]
 *     Q4_0    d, u8[16]                               w[j] = d * (low nibble of byte j - 8), w[j + 16]: the high ones
 *     Q4_1    d, m, u8[16]                            w[j] = d * low nibble + m, w[j + 16]: the high ones
 *     Q5_0    d, u32 of fifth bits, u8[16]            as Q4_0, with bit j (j + 16) as bit 4, less 16
 *     Q5_1    d, m, u32 of fifth bits, u8[16]         as Q4_1, with bit j (j + 16) as bit 4
 *     IQ4_NL  d, u8[16]                               as Q4_0, nibbles are indices of `iq4Levels`
 *     Q2_K    u8[16], u8[64], d, dmin                 four-bit scales (low) and minimums of 16 weights: w = d * s * q - dmin * m
 *     Q3_K    u8[32] high bits, u8[64], u8[12], d     six-bit scales of 16 weights, less 32; q of 3 bits, less 4
 *     Q4_K    d, dmin, u8[12], u8[128]                six-bit scales and minimums of 32 weights: w = d * s * q - dmin * m
 *     Q5_K    d, dmin, u8[12], u8[32] fifth bits, u8[128]
 *     Q6_K    u8[128] low bits, u8[64] high, i8[16], d   eight-bit scales of 16 weights; q of 6 bits, less 32
 */
/** The weights in these bytes, whole blocks of the type. */
export function dequantize(type: TensorType, bytes: Uint8Array): Float32Array {
  if (type === "F32" || type === "F16" || type === "BF16") return floats[type](bytes.slice());
  const { blockSize, blockBytes } = ggmlTypeNamed(type);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const weights = new Float32Array((bytes.length / blockBytes) * blockSize);
  const read = readers[type];
  for (let at = 0, out = 0; at < bytes.length; at += blockBytes, out += blockSize)
    read(view, at, weights, out);
  return weights;
}

/** Weights that stand singly, given bytes of their own, aligned; little-endian, as typed arrays are wherever WebAssembly runs. */
const floats = {
  F32: ({ buffer }: Uint8Array<ArrayBuffer>) => new Float32Array(buffer),
  F16({ buffer }: Uint8Array<ArrayBuffer>) {
    const bits = new Uint16Array(buffer);
    const weights = new Float32Array(bits.length);
    for (let i = 0; i < bits.length; i++) weights[i] = halfToNumber(bits[i]!);
    return weights;
  },
  BF16({ buffer }: Uint8Array<ArrayBuffer>) {
    const upperHalves = new Uint16Array(buffer);
    const words = new Uint32Array(upperHalves.length);
    for (let i = 0; i < words.length; i++) words[i] = upperHalves[i]! << 16;
    return new Float32Array(words.buffer);
  },
};

type BlockReader = (view: DataView, at: number, weights: Float32Array, out: number) => void;

/** The sixteen levels of IQ4_NL (`kvalues_iq4nl`). */
const iq4Levels = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

const halfAt = (view: DataView, at: number) => halfToNumber(view.getUint16(at, true));

const readers: Readonly<Record<Exclude<TensorType, keyof typeof floats>, BlockReader>> = {
  Q8_0(view, at, weights, out) {
    const d = halfAt(view, at);
    for (let j = 0; j < 32; j++) weights[out + j] = d * view.getInt8(at + 2 + j);
  },
  Q4_0(view, at, weights, out) {
    const d = halfAt(view, at);
    for (let j = 0; j < 16; j++) {
      const pair = view.getUint8(at + 2 + j);
      weights[out + j] = d * ((pair & 15) - 8);
      weights[out + 16 + j] = d * ((pair >> 4) - 8);
    }
  },
  Q4_1(view, at, weights, out) {
    const d = halfAt(view, at);
    const m = halfAt(view, at + 2);
    for (let j = 0; j < 16; j++) {
      const pair = view.getUint8(at + 4 + j);
      weights[out + j] = d * (pair & 15) + m;
      weights[out + 16 + j] = d * (pair >> 4) + m;
    }
  },
  Q5_0(view, at, weights, out) {
    const d = halfAt(view, at);
    const fifths = view.getUint32(at + 2, true);
    for (let j = 0; j < 16; j++) {
      const pair = view.getUint8(at + 6 + j);
      weights[out + j] = d * (((pair & 15) | (((fifths >>> j) & 1) << 4)) - 16);
      weights[out + 16 + j] = d * (((pair >> 4) | (((fifths >>> (j + 16)) & 1) << 4)) - 16);
    }
  },
  Q5_1(view, at, weights, out) {
    const d = halfAt(view, at);
    const m = halfAt(view, at + 2);
    const fifths = view.getUint32(at + 4, true);
    for (let j = 0; j < 16; j++) {
      const pair = view.getUint8(at + 8 + j);
      weights[out + j] = d * ((pair & 15) | (((fifths >>> j) & 1) << 4)) + m;
      weights[out + 16 + j] = d * ((pair >> 4) | (((fifths >>> (j + 16)) & 1) << 4)) + m;
    }
  },
  IQ4_NL(view, at, weights, out) {
    const d = halfAt(view, at);
    for (let j = 0; j < 16; j++) {
      const pair = view.getUint8(at + 2 + j);
      weights[out + j] = d * iq4Levels[pair & 15]!;
      weights[out + 16 + j] = d * iq4Levels[pair >> 4]!;
    }
  },
  Q2_K(view, at, weights, out) {
    const d = halfAt(view, at + 80);
    const dmin = halfAt(view, at + 82);
    for (let s = 0; s < 16; s++) {
      const both = view.getUint8(at + s);
      const scale = d * (both & 15);
      const minimum = dmin * (both >> 4);
      const half = s >> 3;
      const part = (s >> 1) & 3;
      for (let j = 16 * (s & 1), end = j + 16; j < end; j++) {
        const q = (view.getUint8(at + 16 + 32 * half + j) >> (2 * part)) & 3;
        weights[out + 128 * half + 32 * part + j] = scale * q - minimum;
      }
    }
  },
  Q3_K(view, at, weights, out) {
    const d = halfAt(view, at + 108);
    for (let s = 0; s < 16; s++) {
      // the scale's low four bits are a nibble of bytes 0..7, the upper two a pair of bits of bytes 8..11
      const low = (view.getUint8(at + 96 + (s & 7)) >> (s < 8 ? 0 : 4)) & 15;
      const high = (view.getUint8(at + 104 + (s & 3)) >> (2 * (s >> 2))) & 3;
      const scale = d * ((low | (high << 4)) - 32);
      const half = s >> 3;
      const part = (s >> 1) & 3;
      for (let j = 16 * (s & 1), end = j + 16; j < end; j++) {
        const bits = (view.getUint8(at + 32 + 32 * half + j) >> (2 * part)) & 3;
        const third = (view.getUint8(at + j) >> (4 * half + part)) & 1;
        weights[out + 128 * half + 32 * part + j] = scale * ((bits | (third << 2)) - 4);
      }
    }
  },
  Q4_K(view, at, weights, out) {
    for (let s = 0; s < 8; s++) {
      const { scale, minimum } = scaleAndMinimum(view, at, s);
      for (let j = 0; j < 32; j++) {
        const q = (view.getUint8(at + 16 + 32 * (s >> 1) + j) >> (4 * (s & 1))) & 15;
        weights[out + 32 * s + j] = scale * q - minimum;
      }
    }
  },
  Q5_K(view, at, weights, out) {
    for (let s = 0; s < 8; s++) {
      const { scale, minimum } = scaleAndMinimum(view, at, s);
      for (let j = 0; j < 32; j++) {
        const low = (view.getUint8(at + 48 + 32 * (s >> 1) + j) >> (4 * (s & 1))) & 15;
        const fifth = (view.getUint8(at + 16 + j) >> s) & 1;
        weights[out + 32 * s + j] = scale * (low | (fifth << 4)) - minimum;
      }
    }
  },
  Q6_K(view, at, weights, out) {
    const d = halfAt(view, at + 208);
    for (let half = 0; half < 2; half++) {
      for (let part = 0; part < 4; part++) {
        for (let j = 0; j < 32; j++) {
          const i = 128 * half + 32 * part + j;
          const low = (view.getUint8(at + 64 * half + 32 * (part & 1) + j) >> (4 * (part >> 1))) & 15;
          const high = (view.getUint8(at + 128 + 32 * half + j) >> (2 * part)) & 3;
          weights[out + i] = d * view.getInt8(at + 192 + (i >> 4)) * ((low | (high << 4)) - 32);
        }
      }
    }
  },
};

/** d * scale and dmin * minimum of the s-th 32 weights of a Q4_K or Q5_K block. */
function scaleAndMinimum(
  view: DataView,
  at: number,
  s: number,
): { readonly scale: number; readonly minimum: number } {
  const byte = (i: number) => view.getUint8(at + 4 + i);
  // those of 0..3 in bytes 0..3 and 4..7; of 4..7 the low bits are nibbles of bytes 8..11, the upper two stand above those
  const scale = s < 4 ? byte(s) & 63 : (byte(s + 4) & 15) | ((byte(s - 4) >> 6) << 4);
  const minimum = s < 4 ? byte(s + 4) & 63 : (byte(s + 4) >> 4) | ((byte(s) >> 6) << 4);
  return { scale: halfAt(view, at) * scale, minimum: halfAt(view, at + 2) * minimum };
}
