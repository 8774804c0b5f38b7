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
  // four at a time: V8 makes the constants anew in each turn of the loop (1.36 x on V8 13)
  for (const end16 = bytes & ~63; i < end16; i += 64) {
    v128.store(out + i, siluMul4(v128.load(gate + i), v128.load(up + i)));
    v128.store(out + i, siluMul4(v128.load(gate + i, 16), v128.load(up + i, 16)), 16);
    v128.store(out + i, siluMul4(v128.load(gate + i, 32), v128.load(up + i, 32)), 32);
    v128.store(out + i, siluMul4(v128.load(gate + i, 48), v128.load(up + i, 48)), 48);
  }
  for (; i < end4; i += 16) v128.store(out + i, siluMul4(v128.load(gate + i), v128.load(up + i)));
  for (; i < bytes; i += 4) {
    v128.store32_lane(out + i, siluMul4(v128.load32_splat(gate + i), v128.load32_splat(up + i)), 0);
  }
}
