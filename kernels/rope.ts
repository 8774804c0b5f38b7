/**
 * Rotary position embedding (Su et al. 2021, arXiv:2104.09864), in place, on interleaved pairs:
 *
 *   (x[2i], x[2i+1]) = (x[2i] cos - x[2i+1] sin,  x[2i+1] cos + x[2i] sin)      for 2i < ropeDim
 *
 *   x      f32[positions, heads, headDim]
 *   table  f32[positions, ropeDim / 2, 2]   (cos, sin) of position * base^(-2i / ropeDim), from the first position on
 *
 * Meta's, llama2.c's and GGUF's llama files pair neighbours as here; Hugging Face's pair i with i + headDim / 2.
 * Dimensions from ropeDim on stay as they are.
 */
export function rope(
  x: usize,
  table: usize,
  positions: usize,
  heads: usize,
  headDim: usize,
  ropeDim: usize,
): void {
  assert(headDim % 2 === 0 && ropeDim % 2 === 0 && ropeDim <= headDim);
  const headBytes = headDim << 2;
  const ropeBytes = ropeDim << 2;
  const end4 = ropeBytes & ~15;
  const signs = f32x4(-1, 1, -1, 1);
  for (let position: usize = 0; position < positions; position++) {
    for (let head: usize = 0; head < heads; head++) {
      let i: usize = 0;
      for (; i < end4; i += 16) {
        const v = v128.load(x + i);
        const t = v128.load(table + i);
        const cos = v128.shuffle<i32>(t, t, 0, 0, 2, 2);
        const sin = f32x4.mul(v128.shuffle<i32>(t, t, 1, 1, 3, 3), signs);
        const swapped = v128.shuffle<i32>(v, v, 1, 0, 3, 2);
        v128.store(x + i, f32x4.add(f32x4.mul(v, cos), f32x4.mul(swapped, sin)));
      }
      if (i < ropeBytes) {
        const a = load<f32>(x + i);
        const b = load<f32>(x + i, 4);
        const cos = load<f32>(table + i);
        const sin = load<f32>(table + i, 4);
        store<f32>(x + i, a * cos - b * sin);
        store<f32>(x + i, b * cos + a * sin, 4);
      }
      x += headBytes;
    }
    table += ropeBytes;
  }
}
