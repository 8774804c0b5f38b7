/**
 * out[i] += x[i]
 *
 *   out, x  f32[count]
 */
export function add(out: usize, x: usize, count: usize): void {
  const bytes = count << 2;
  const end4 = bytes & ~15;
  let i: usize = 0;
  for (; i < end4; i += 16) v128.store(out + i, f32x4.add(v128.load(out + i), v128.load(x + i)));
  for (; i < bytes; i += 4) store<f32>(out + i, load<f32>(out + i) + load<f32>(x + i));
}
