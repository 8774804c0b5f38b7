import { type TensorType, tensorTypes } from "../runtime/formats/tensor-types.js";

/**
 * The weights that the bytes of a file stand for, exactly: every value of these types is a float64.
 *
 * Layouts are those of ggml (`ggml-common.h`, `dequantize_row_*` in `ggml-quants.c`), little-endian. On random blocks of every
 * quantized type the values are those of the gguf Python package 0.19.0, without exception.
 *
 *
 *   F32    f32                              w = x
 *   F16    IEEE binary16                    w = x
 *   BF16   the upper half of an f32         w = x
 *   Q8_0   d: f16, qs: i8[32]               w[j] = d * qs[j]
 *   Q4_0   d: f16, qs: u8[16]               w[j] = d * (low nibble of qs[j] - 8), j = 0..15
 *                                           w[j + 16] = d * (high nibble of qs[j] - 8)
 *   Q4_1   d, m: f16, qs: u8[16]            w[j] = d * (low nibble of qs[j]) + m, j = 0..15; w[j + 16]: the high nibble
 *   Q5_0   d: f16, qh: u32, qs: u8[16]      w[j] = d * (low nibble of qs[j] + 16 * bit j of qh - 16), j = 0..15
 *                                           w[j + 16]: the high nibble and bit j + 16
 *   Q5_1   d, m: f16, qh: u32, qs: u8[16]   w[j] = d * (low nibble of qs[j] + 16 * bit j of qh) + m; w[j + 16]: as in Q5_0
 *   IQ4_NL d: f16, qs: u8[16]               w[j] = d * kvalues_iq4nl[low nibble of qs[j]]; w[j + 16]: the high nibble
 *   Q2_K   scales: u8[16], qs: u8[64],      w[128h + 32p + j] = d * (low nibble of s) * q - dmin * (high nibble of s), j = 0..31, where
 *          d, dmin: f16                     s is scales[(128h + 32p + j) / 16] and q is bits 2p, 2p + 1 of qs[32h + j]
 *   Q3_K   hmask: u8[32], qs: u8[64],       w[128h + 32p + j] = d * (scale[(128h + 32p + j) / 16] - 32) * (q - 4), j = 0..31, where
 *          scales: u8[12], d: f16           q is bits 2p, 2p + 1 of qs[32h + j] and 4 * bit 4h + p of hmask[j]
 *   Q4_K   d, dmin: f16, scales: u8[12],    w[64p + j] = d * scale[2p] * (low nibble of qs[32p + j]) - dmin * minimum[2p]
 *          qs: u8[128]                      w[64p + 32 + j]: the high nibble, scale and minimum of 2p + 1; j = 0..31
 *   Q5_K   d, dmin, scales as Q4_K,         as Q4_K, with bit 2p (2p + 1) of qh[j] as bit 4 of q
 *          qh: u8[32], qs: u8[128]
 *   Q6_K   ql: u8[128], qh: u8[64],         w[128h + 32p + j] = d * scales[(128h + 32p + j) / 16] * (q - 32), j = 0..31, where
 *          scales: i8[16], d: f16           q's low bits are ql[64h + 32 (p % 2) + j]'s low (p < 2) or high nibble, and
 *                                           its high bits are bits 2p, 2p + 1 of qh[32h + j]
 *
 * The 6-bit scales and minimums of Q4_K and Q5_K (`get_scale_min_k4`): those of 0..3 are the low bits of bytes 0..3 and
 * 4..7; those of 4..7 have their low four bits in bytes 8..11 and the upper two in bits 6 and 7 of bytes 0..3 and 4..7.
 * The 6-bit scales of Q3_K: scale s has its low four bits in byte s % 8, in the low nibble for s < 8 and the high one from
 * there on, and its upper two in bits 2 (s / 4) and 2 (s / 4) + 1 of byte 8 + s % 4.
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

/** kvalues_iq4nl in ggml-common.h. */
export const iq4Levels = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

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

  Q4_1(view, at, out) {
    const d = f16ToNumber(view.getUint16(at, true));
    const m = f16ToNumber(view.getUint16(at + 2, true));
    for (let j = 0; j < 16; j++) {
      const pair = view.getUint8(at + 4 + j);
      out[j] = d * (pair & 15) + m;
      out[j + 16] = d * (pair >> 4) + m;
    }
  },

  Q5_0(view, at, out) {
    const d = f16ToNumber(view.getUint16(at, true));
    const fifth = view.getUint32(at + 2, true);
    for (let j = 0; j < 16; j++) {
      const pair = view.getUint8(at + 6 + j);
      out[j] = d * ((pair & 15) + 16 * ((fifth >>> j) & 1) - 16);
      out[j + 16] = d * ((pair >> 4) + 16 * ((fifth >>> (j + 16)) & 1) - 16);
    }
  },

  Q5_1(view, at, out) {
    const d = f16ToNumber(view.getUint16(at, true));
    const m = f16ToNumber(view.getUint16(at + 2, true));
    const fifth = view.getUint32(at + 4, true);
    for (let j = 0; j < 16; j++) {
      const pair = view.getUint8(at + 8 + j);
      out[j] = d * ((pair & 15) + 16 * ((fifth >>> j) & 1)) + m;
      out[j + 16] = d * ((pair >> 4) + 16 * ((fifth >>> (j + 16)) & 1)) + m;
    }
  },

  IQ4_NL(view, at, out) {
    const d = f16ToNumber(view.getUint16(at, true));
    for (let j = 0; j < 16; j++) {
      const pair = view.getUint8(at + 2 + j);
      out[j] = d * iq4Levels[pair & 15]!;
      out[j + 16] = d * iq4Levels[pair >> 4]!;
    }
  },

  Q2_K(view, at, out) {
    const d = f16ToNumber(view.getUint16(at + 80, true));
    const dmin = f16ToNumber(view.getUint16(at + 82, true));
    for (let i = 0; i < 256; i++) {
      const [half, part, j] = [i >> 7, (i >> 5) & 3, i & 31];
      const scales = view.getUint8(at + (i >> 4));
      const q = (view.getUint8(at + 16 + 32 * half + j) >> (2 * part)) & 3;
      out[i] = d * (scales & 15) * q - dmin * (scales >> 4);
    }
  },

  Q3_K(view, at, out) {
    const d = f16ToNumber(view.getUint16(at + 108, true));
    for (let i = 0; i < 256; i++) {
      const [half, part, j, s] = [i >> 7, (i >> 5) & 3, i & 31, i >> 4];
      const low = (view.getUint8(at + 32 + 32 * half + j) >> (2 * part)) & 3;
      const high = (view.getUint8(at + j) >> (4 * half + part)) & 1;
      const scaleLow = (view.getUint8(at + 96 + (s % 8)) >> (s < 8 ? 0 : 4)) & 15;
      const scaleHigh = (view.getUint8(at + 104 + (s % 4)) >> (2 * (s >> 2))) & 3;
      out[i] = d * (scaleLow + 16 * scaleHigh - 32) * (low + 4 * high - 4);
    }
  },

  Q4_K(view, at, out) {
    readScalesAndMinimums(view, at, (j, scale, minimum) => {
      for (let i = 0; i < 32; i++) {
        const byte = view.getUint8(at + 16 + 32 * (j >> 1) + i);
        out[32 * j + i] = scale * (j % 2 ? byte >> 4 : byte & 15) - minimum;
      }
    });
  },

  Q5_K(view, at, out) {
    readScalesAndMinimums(view, at, (j, scale, minimum) => {
      for (let i = 0; i < 32; i++) {
        const byte = view.getUint8(at + 48 + 32 * (j >> 1) + i);
        const fifth = (view.getUint8(at + 16 + i) >> j) & 1;
        out[32 * j + i] = scale * ((j % 2 ? byte >> 4 : byte & 15) + 16 * fifth) - minimum;
      }
    });
  },

  Q6_K(view, at, out) {
    const d = f16ToNumber(view.getUint16(at + 208, true));
    for (let i = 0; i < 256; i++) {
      const [half, part, j] = [i >> 7, (i >> 5) & 3, i & 31];
      const low = view.getUint8(at + 64 * half + 32 * (part & 1) + j);
      const high = (view.getUint8(at + 128 + 32 * half + j) >> (2 * part)) & 3;
      const q = (part < 2 ? low & 15 : low >> 4) + 16 * high;
      out[i] = d * view.getInt8(at + 192 + (i >> 4)) * (q - 32);
    }
  },
};

/** Calls `use` with d * scale and dmin * minimum of each of the eight sub-blocks of a Q4_K or Q5_K block. */
function readScalesAndMinimums(
  view: DataView,
  at: number,
  use: (j: number, scale: number, minimum: number) => void,
): void {
  const d = f16ToNumber(view.getUint16(at, true));
  const dmin = f16ToNumber(view.getUint16(at + 2, true));
  const byte = (i: number) => view.getUint8(at + 4 + i);
  for (let j = 0; j < 4; j++) use(j, d * (byte(j) & 63), dmin * (byte(j + 4) & 63));
  for (let j = 4; j < 8; j++) {
    const scale = (byte(j + 4) & 15) + 16 * (byte(j - 4) >> 6);
    const minimum = (byte(j + 4) >> 4) + 16 * (byte(j) >> 6);
    use(j, d * scale, dmin * minimum);
  }
}

/** The value of IEEE binary16 bits: sign, 5 bits of exponent (bias 15), 10 bits of fraction. */
function f16ToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}
