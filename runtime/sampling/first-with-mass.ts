/** What `firstWithMass` works in, made once for a vocabulary. */
export interface MassScratch {
  /** u32[vocabSize], by id. */
  readonly keys: Uint32Array;
  /** u32[vocabSize] each. */
  readonly middle: Uint32Array;
  readonly sorted: Uint32Array;
  /** f64[2048], by the upper 11 bits of a key. */
  readonly bins: Float64Array;
}

export function createMassScratch(vocabSize: number): MassScratch {
  return {
    keys: new Uint32Array(vocabSize),
    middle: new Uint32Array(vocabSize),
    sorted: new Uint32Array(vocabSize),
    bins: new Float64Array(2048),
  };
}

/**
 * The fewest of the candidates with the highest values, of equal ones the lower id, whose masses sum to at least `least`. At least
 * one, and all where they do not.
 *
 *   values  f32[vocabSize], by id, such as logits; no NaN
 *   ids     u32[n], the candidates; equal ones with ascending ids. Its head is the result
 *   masses  f64[vocabSize], by id, such as probabilities; the highest value has some
 *
 * Without sorting them all: they go into bins by the upper 11 bits of their values, and only the bin in which the sum is reached
 * is sorted. What is taken from it comes last, the rest as it came.
 */
export function firstWithMass(
  values: Float32Array,
  ids: Uint32Array,
  masses: Float64Array,
  least: number,
  scratch: MassScratch,
): Uint32Array {
  const { keys, middle, sorted } = scratch;
  makeKeys(values, ids, keys);
  const bins = scratch.bins.fill(0);
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    bins[keys[id]! >>> 21]! += masses[id]!;
  }
  const target = Math.max(least, Number.MIN_VALUE);
  let sum = 0;
  let bin = 0;
  while (bin < bins.length && sum + bins[bin]! < target) sum += bins[bin++]!;

  let kept = 0;
  let inMiddle = 0;
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    const own = keys[id]! >>> 21;
    if (own < bin) ids[kept++] = id;
    else if (own === bin) middle[inMiddle++] = id;
  }
  sortByKey(keys, middle.subarray(0, inMiddle), sorted);
  for (let i = 0; i < inMiddle && sum < target; i++) {
    const id = middle[i]!;
    ids[kept++] = id;
    sum += masses[id]!;
  }
  return ids.subarray(0, kept);
}

/** Integers that ascend while the values descend. */
function makeKeys(values: Float32Array, ids: Uint32Array, keys: Uint32Array): void {
  const floats = new Float32Array(keys.buffer, keys.byteOffset, keys.length);
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    floats[id] = values[id]! + 0; // -0 + 0 is 0: the two zeros are equal
    // As integers, the bits of negative floats ascend while the floats descend; those of positive ones are turned round.
    const bits = keys[id]!;
    keys[id] = bits >>> 31 ? bits : bits ^ 0x7fffffff;
  }
}

/**
 * Sorts ids by the lower 22 bits of their keys, and leaves equal ones in their order: two passes of a radix sort, 11 bits each,
 * least significant first.
 */
function sortByKey(keys: Uint32Array, ids: Uint32Array, scratch: Uint32Array): void {
  const other = scratch.subarray(0, ids.length);
  distribute(keys, 0, ids, other);
  distribute(keys, 11, other, ids);
}

const starts = new Uint32Array(2048);

/** Copies ids into `to` by 11 bits of their keys from bit `shift` on, and within the same bits in the order of `from`. */
function distribute(keys: Uint32Array, shift: number, from: Uint32Array, to: Uint32Array): void {
  starts.fill(0);
  for (let i = 0; i < from.length; i++) starts[(keys[from[i]!]! >>> shift) & 2047]!++;
  let start = 0;
  for (let digit = 0; digit < 2048; digit++) {
    const count = starts[digit]!;
    starts[digit] = start;
    start += count;
  }
  for (let i = 0; i < from.length; i++) {
    const id = from[i]!;
    to[starts[(keys[id]! >>> shift) & 2047]!++] = id;
  }
}
