import { exp4, sum4 } from "./lib/inline";

/**
 * x[i] = exp(x[i] - max x) / sum of these, in place
 *
 *   x  f32[count]   count >= 1
 *
 * The sum runs in four lanes (index mod 4), then the rest one by one.
 */
export function softmax(x: usize, count: usize): void {
  assert(count > 0);
  const end = x + (count << 2);
  const end4 = x + ((count << 2) & ~15);

  let p = x;
  let highest = v128.load32_splat(x);
  for (; p < end4; p += 16) highest = f32x4.pmax(highest, v128.load(p));
  for (; p < end; p += 4) highest = f32x4.pmax(highest, v128.load32_splat(p));
  highest = f32x4.pmax(highest, v128.shuffle<i32>(highest, highest, 2, 3, 0, 1));
  highest = f32x4.pmax(highest, v128.shuffle<i32>(highest, highest, 1, 0, 3, 2));

  let sums = f32x4.splat(0);
  p = x;
  // four at a time: see silu_mul.ts
  for (const end16 = x + ((count << 2) & ~63); p < end16; p += 64) {
    const e0 = exp4(f32x4.sub(v128.load(p), highest));
    const e1 = exp4(f32x4.sub(v128.load(p, 16), highest));
    const e2 = exp4(f32x4.sub(v128.load(p, 32), highest));
    const e3 = exp4(f32x4.sub(v128.load(p, 48), highest));
    v128.store(p, e0);
    v128.store(p, e1, 16);
    v128.store(p, e2, 32);
    v128.store(p, e3, 48);
    sums = f32x4.add(f32x4.add(f32x4.add(f32x4.add(sums, e0), e1), e2), e3);
  }
  for (; p < end4; p += 16) {
    const e = exp4(f32x4.sub(v128.load(p), highest));
    v128.store(p, e);
    sums = f32x4.add(sums, e);
  }
  let sum = sum4(sums);
  for (; p < end; p += 4) {
    const e = exp4(f32x4.sub(v128.load32_splat(p), highest));
    v128.store32_lane(p, e, 0);
    sum += f32x4.extract_lane(e, 0);
  }

  const inverse = f32x4.splat(<f32>1 / sum);
  for (p = x; p < end4; p += 16) v128.store(p, f32x4.mul(v128.load(p), inverse));
  for (; p < end; p += 4) v128.store32_lane(p, f32x4.mul(v128.load32_splat(p), inverse), 0);
}
