/**
 * cache[h, position + t] = x[t, h]: the keys or values of a run of positions go into the cache, where the positions
 * of one head lie next to each other
 *
 *   cache  f32[heads, contextLength, headDim]
 *   x      f32[positions, heads, headDim]
 */
export function cache_f32(
  cache: usize,
  x: usize,
  position: usize,
  positions: usize,
  heads: usize,
  headDim: usize,
  contextLength: usize,
): void {
  assert(position + positions <= contextLength);
  const headBytes = headDim << 2;
  for (let t: usize = 0; t < positions; t++) {
    for (let head: usize = 0; head < heads; head++) {
      memory.copy(cache + (head * contextLength + position + t) * headBytes, x, headBytes);
      x += headBytes;
    }
  }
}
