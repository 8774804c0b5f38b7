// The steps between logits and a token narrow down a list of candidates:
//
//   logits  f32[vocabSize], by id; no NaN, and -Infinity for a token that is banned
//   ids     u32[n], the candidates, in any order, each once
//
// Each takes both and returns the candidates that are left, at least one: the head of `ids`, whose elements it may have
// put in another order.

/** All ids, in their order. */
export function everyId(ids: Uint32Array): Uint32Array {
  for (let id = 0; id < ids.length; id++) ids[id] = id;
  return ids;
}

/** The candidates with a value of at least `least`, in their order. Values, such as logits, are by id. */
export function withAtLeast(
  values: Float32Array | Float64Array,
  ids: Uint32Array,
  least: number,
): Uint32Array {
  let kept = 0;
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    if (values[id]! >= least) ids[kept++] = id;
  }
  return ids.subarray(0, kept);
}
