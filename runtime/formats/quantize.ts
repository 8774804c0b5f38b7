import { halfToNumber, numberToHalf } from "./floats.js";
import { ggmlTypeNamed } from "./ggml-types.js";

/** The types that weights can be written in. */
export const quantizedTypes = ["F16", "Q8_0", "Q4_0", "Q4_1", "Q4_K", "Q6_K"] as const;

/** ggml's name of such a type. */
export type QuantizedType = (typeof quantizedTypes)[number];

/**
 * The blocks that f32 weights become in a file; layouts stand in dequantize.ts. Pure and deterministic: the same weights give the
 * same bytes in every engine.
 *
 * Q8_0 scales a block by its largest weight, as ggml does. The other scales (and minimums) are searched for: of a few that lie
 * around those which the range suggests, each refined by least squares, the one with the smallest squared error is kept. Within
 * that the rounding is to nearest. F16 rounds to nearest, ties to even.
 *
 * @param weights finite; a multiple of the type's block
 */
export function quantize(type: QuantizedType, weights: Float32Array): Uint8Array {
  const { blockSize, blockBytes } = ggmlTypeNamed(type);
  const bytes = new Uint8Array((weights.length / blockSize) * blockBytes);
  const view = new DataView(bytes.buffer);
  const write = writers[type];
  for (let from = 0, at = 0; from < weights.length; from += blockSize, at += blockBytes) {
    write(weights, from, view, at);
  }
  return bytes;
}

type BlockWriter = (weights: Float32Array, from: number, view: DataView, at: number) => void;

const writers: Readonly<Record<QuantizedType, BlockWriter>> = {
  F16(weights, from, view, at) {
    view.setUint16(at, numberToHalf(weights[from]!), true);
  },

  Q8_0(weights, from, view, at) {
    let most = 0;
    for (let j = 0; j < 32; j++) most = Math.max(most, Math.abs(weights[from + j]!));
    const d = Math.fround(most / 127);
    const inverse = d === 0 ? 0 : Math.fround(1 / d);
    view.setUint16(at, numberToHalf(d), true);
    for (let j = 0; j < 32; j++) {
      const x = Math.fround(weights[from + j]! * inverse);
      view.setInt8(at + 2 + j, Math.sign(x) * Math.floor(Math.abs(x) + 0.5)); // half away from zero, as C's round
    }
  },

  Q4_0(weights, from, view, at) {
    const d = setHalf(view, at, fitScale(weights, from, 32, 8));
    const inverse = d === 0 ? 0 : 1 / d;
    const q = (j: number) => nearest(weights[from + j]! * inverse, -8, 7) + 8;
    for (let j = 0; j < 16; j++) view.setUint8(at + 2 + j, q(j) | (q(j + 16) << 4));
  },

  Q4_1(weights, from, view, at) {
    const fit = fitScaleAndMinimum(weights, from, Number.POSITIVE_INFINITY);
    const d = setHalf(view, at, fit.scale);
    const m = setHalf(view, at + 2, fit.minimum);
    const inverse = d === 0 ? 0 : 1 / d;
    const q = (j: number) => nearest((weights[from + j]! - m) * inverse, 0, 15);
    for (let j = 0; j < 16; j++) view.setUint8(at + 4 + j, q(j) | (q(j + 16) << 4));
  },

  Q4_K(weights, from, view, at) {
    const fits = Array.from({ length: 8 }, (_, s) => fitScaleAndMinimum(weights, from + 32 * s, 0));
    const d = setHalf(view, at, Math.max(...fits.map(({ scale }) => scale)) / 63);
    const dmin = setHalf(view, at + 2, Math.max(...fits.map(({ minimum }) => -minimum)) / 63);
    for (const [s, fit] of fits.entries()) {
      const scale = d === 0 ? 0 : nearest(fit.scale / d, 0, 63);
      const minimum = dmin === 0 ? 0 : nearest(-fit.minimum / dmin, 0, 63);
      setScaleAndMinimum(view, at + 4, s, scale, minimum);
      const inverse = scale === 0 ? 0 : 1 / (d * scale);
      for (let j = 0; j < 32; j++) {
        const q = nearest((weights[from + 32 * s + j]! + dmin * minimum) * inverse, 0, 15);
        addBits(view, at + 16 + 32 * (s >> 1) + j, q << (4 * (s & 1)));
      }
    }
  },

  Q6_K(weights, from, view, at) {
    const fits = Array.from({ length: 16 }, (_, s) => fitScale(weights, from + 16 * s, 16, 32));
    const largest = fits.reduce((most, scale) => (Math.abs(scale) > Math.abs(most) ? scale : most), 0);
    const d = setHalf(view, at + 208, largest / -128);
    for (const [s, fit] of fits.entries()) {
      const scale = d === 0 ? 0 : nearest(fit / d, -128, 127);
      view.setInt8(at + 192 + s, scale);
      const inverse = scale === 0 ? 0 : 1 / (d * scale);
      const half = s >> 3;
      const part = (s >> 1) & 3;
      for (let j = 16 * (s & 1), end = j + 16; j < end; j++) {
        const q = nearest(weights[from + 128 * half + 32 * part + j]! * inverse, -32, 31) + 32;
        addBits(view, at + 64 * half + 32 * (part & 1) + j, (q & 15) << (4 * (part >> 1)));
        addBits(view, at + 128 + 32 * half + j, (q >> 4) << (2 * part));
      }
    }
  },
};

/**
 * How far from the range's own scale others are tried, in levels: 0.1 of a level is a step. More steps than these gain less than
 * a thousandth of the error.
 */
const tries = [-0.9, -0.7, -0.5, -0.3, -0.1, 0, 0.1, 0.3, 0.5, 0.7, 0.9];

/**
 * The scale d for which weights ~ d * q, with q from -levels to levels - 1, has the smallest squared error of those tried: so that
 * the weight of largest magnitude lands on -levels, about.
 */
function fitScale(weights: Float32Array, from: number, count: number, levels: number): number {
  let largest = 0;
  for (let i = from; i < from + count; i++) {
    if (Math.abs(weights[i]!) > Math.abs(largest)) largest = weights[i]!;
  }
  if (largest === 0) return 0;
  let best = 0;
  let bestGain = 0;
  for (const shift of tries) {
    const inverse = -(levels + shift) / largest;
    let xq = 0;
    let qq = 0;
    for (let i = from; i < from + count; i++) {
      const q = nearest(weights[i]! * inverse, -levels, levels - 1);
      xq += weights[i]! * q;
      qq += q * q;
    }
    // with the q's given, least squares: d = xq / qq, and the squared error falls by xq^2 / qq
    if (qq > 0 && xq * xq > bestGain * qq) {
      best = xq / qq;
      bestGain = (xq * xq) / qq;
    }
  }
  return best;
}

/**
 * The scale and minimum for which 32 weights ~ scale * q + minimum, with q from 0 to 15, have the smallest squared error of those
 * tried. The minimum is at most `highest`.
 */
function fitScaleAndMinimum(
  weights: Float32Array,
  from: number,
  highest: number,
): { readonly scale: number; readonly minimum: number } {
  const count = 32;
  let low = highest;
  let high = Number.NEGATIVE_INFINITY;
  let x = 0;
  for (let i = from; i < from + count; i++) {
    low = Math.min(low, weights[i]!);
    high = Math.max(high, weights[i]!);
    x += weights[i]!;
  }
  if (high <= low) return { scale: 0, minimum: low };
  let best = { scale: (high - low) / 15, minimum: low };
  let bestError = Number.POSITIVE_INFINITY;
  for (const shift of tries) {
    const inverse = (15 + shift) / (high - low);
    let q = 0;
    let qq = 0;
    let xq = 0;
    for (let i = from; i < from + count; i++) {
      const level = nearest((weights[i]! - low) * inverse, 0, 15);
      q += level;
      qq += level * level;
      xq += weights[i]! * level;
    }
    // with the q's given, least squares in two unknowns
    const determinant = count * qq - q * q;
    if (determinant <= 0) continue;
    let scale = (count * xq - x * q) / determinant;
    let minimum = (x * qq - q * xq) / determinant;
    if (minimum > highest) {
      minimum = highest;
      scale = (xq - minimum * q) / qq;
    }
    // the squared error less the sum of squares, which is the same for all
    const error = scale * scale * qq + 2 * scale * (minimum * q - xq) + minimum * (count * minimum - 2 * x);
    if (error < bestError) {
      best = { scale, minimum };
      bestError = error;
    }
  }
  return best;
}

function nearest(x: number, least: number, most: number): number {
  return Math.min(Math.max(Math.floor(x + 0.5), least), most);
}

/** Writes a half float, and returns what it holds: the levels are chosen by that. */
function setHalf(view: DataView, at: number, x: number): number {
  const bits = numberToHalf(x === 0 ? 0 : x); // no minus zero
  view.setUint16(at, bits, true);
  return halfToNumber(bits);
}

function addBits(view: DataView, at: number, bits: number): void {
  view.setUint8(at, view.getUint8(at) | bits);
}

/** The six bits of each, in twelve bytes as dequantize.ts reads them. */
function setScaleAndMinimum(view: DataView, at: number, s: number, scale: number, minimum: number): void {
  if (s < 4) {
    addBits(view, at + s, scale);
    addBits(view, at + 4 + s, minimum);
    return;
  }
  addBits(view, at + 4 + s, (scale & 15) | ((minimum & 15) << 4));
  addBits(view, at + s - 4, (scale >> 4) << 6);
  addBits(view, at + s, (minimum >> 4) << 6);
}
