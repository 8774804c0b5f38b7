import { siluMul4 } from "./lib/inline";

/**
 * out[i] = gate[i] * sigmoid(gate[i]) * up[i]
 *
 *   out, gate, up  f32[count]   `out` may be `gate` or `up`
 *
 * The gating of SwiGLU, Shazeer 2020 (arXiv:2002.05202).
 */
export function silu_mul(out: usize, gate: usize, up: usize, count: usize): void {
  const bytes = count << 2;
  const end4 = bytes & ~15;
  let i: usize = 0;
  for (; i < end4; i += 16) v128.store(out + i, siluMul4(v128.load(gate + i), v128.load(up + i)));
  for (; i < bytes; i += 4) {
    v128.store32_lane(out + i, siluMul4(v128.load32_splat(gate + i), v128.load32_splat(up + i)), 0);
  }
}
