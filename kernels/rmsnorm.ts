import { mulAdd, sum4 } from "./lib/inline";

/**
 * out = x / sqrt(mean(x^2) + eps) * weight, for each position
 *
 *   out     f32[positions, dim]
 *   x       f32[positions, dim]
 *   weight  f32[dim]
 *
 * Root mean square layer normalization, Zhang and Sennrich 2019 (arXiv:1910.07467). `out` may be `x`.
 * Squares that overflow give NaN, which the sampler refuses: 1 / Infinity would make a row of zeros, and random text of them.
 * The sum of squares runs in eight lanes (column mod 8), then the rest one by one.
 */
export function rmsnorm(out: usize, x: usize, weight: usize, positions: usize, dim: usize, eps: f32): void {
  assert(dim > 0);
  const bytes = dim << 2;
  const end8 = bytes & ~31;
  for (let position: usize = 0; position < positions; position++) {
    let a = f32x4.splat(0);
    let b = f32x4.splat(0);
    let i: usize = 0;
    for (; i < end8; i += 32) {
      const u = v128.load(x + i);
      const v = v128.load(x + i, 16);
      a = mulAdd(u, u, a);
      b = mulAdd(v, v, b);
    }
    let squares = sum4(f32x4.add(a, b));
    for (; i < bytes; i += 4) {
      const u = load<f32>(x + i);
      squares += u * u;
    }

    const scale: f32 = squares < Infinity ? <f32>1 / sqrt<f32>(squares / <f32>dim + eps) : NaN;
    const scale4 = f32x4.splat(scale);
    for (i = 0; i < end8; i += 16) {
      v128.store(out + i, f32x4.mul(f32x4.mul(v128.load(x + i), scale4), v128.load(weight + i)));
    }
    for (; i < bytes; i += 4) store<f32>(out + i, load<f32>(x + i) * scale * load<f32>(weight + i));
    x += bytes;
    out += bytes;
  }
}
