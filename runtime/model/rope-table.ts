import { pow, sincos } from "../math.js";

/**
 * The rotations of RoPE, for every position and every pair of dimensions: cosine and sine of
 *
 *   angle(position, i) = position * ropeBase^(-2i / ropeDim)      (Su et al., "RoFormer", 2021)
 *
 *   returns  f32[end - begin, ropeDim / 2, 2] for the positions [begin, end)
 *
 * Frequencies and angles are float64, by the runtime's own pow and sincos, and rounded to f32 once: within 2^-25 (half
 * an f32 ulp below 1) + 2e-11 of the exact values at position 32,768, where angles in f32 would be wrong by 1e-3. The
 * 2e-11 is the angle's own rounding, a few 2^-53 of it.
 */
export function ropeTable(
  { ropeDim, ropeBase }: { readonly ropeDim: number; readonly ropeBase: number },
  begin: number,
  end: number,
): Float32Array {
  const frequencies = Float64Array.from({ length: ropeDim / 2 }, (_, i) => pow(ropeBase, (-2 * i) / ropeDim));
  const table = new Float32Array((end - begin) * ropeDim);
  let at = 0;
  for (let position = begin; position < end; position++) {
    for (const frequency of frequencies) {
      const { sin, cos } = sincos(position * frequency);
      table[at++] = cos;
      table[at++] = sin;
    }
  }
  return table;
}
