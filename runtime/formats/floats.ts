// Half floats: IEEE 754 binary16, which is sign, 5 bits of exponent, 10 of fraction.

/** The f32 of each half, by its bits: looked up three times as fast as computed. */
let halves: Float32Array | undefined;

export function halfToNumber(bits: number): number {
  halves ??= Float32Array.from({ length: 65536 }, (_, i) => computeHalf(i));
  return halves[bits]!;
}

function computeHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent ? sign * (1 + fraction / 1024) * 2 ** (exponent - 15) : sign * fraction * 2 ** -24;
}

const word = new DataView(new ArrayBuffer(4));

/** The bits of the half nearest to an f32, ties to even: infinity from 65,520 on; a NaN stays one. */
export function numberToHalf(x: number): number {
  word.setFloat32(0, x);
  const bits = word.getUint32(0);
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65,520
  if (magnitude < 0x38800000) {
    // below 2^-14 halves are multiples of 2^-24
    return sign | roundHalfEven(Math.abs(Math.fround(x)) * 2 ** 24);
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded >>> 13) - (112 << 10));
}

function roundHalfEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}
