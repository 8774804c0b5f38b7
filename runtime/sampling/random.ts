/**
 * A seeded generator of numbers in [0, 1): the same seed gives the same numbers in every engine, for ever.
 *
 * The algorithm is xoshiro128** 1.1 (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021;
 * https://prng.di.unimi.it/xoshiro128starstar.c): 128 bits of state, period 2^128 - 1, 32-bit integers only. Its state
 * is the first two outputs of splitmix64 started at the seed, each the lower half first, as its authors recommend.
 *
 * Each number carries 32 bits: it is one output divided by 2^32, so 0 is possible and 1 is not. It is not fit for
 * cryptography.
 *
 * @param seed an integer from 0 to 2^53 - 1; every bit of it counts
 */
export function createRandom(seed: number): () => number {
  const next = xoshiro128starstar(stateFromSeed(seed));
  return () => next() / 2 ** 32;
}

/** The four words of state for a seed: never all zero, since splitmix64 takes different counters to different words. */
export function stateFromSeed(seed: number): Uint32Array {
  const state = new Uint32Array(4);
  let counter = BigInt(seed);
  for (let word = 0; word < 4; word += 2) {
    counter += 0x9e3779b97f4a7c15n;
    const output = splitmix64Mix(BigInt.asUintN(64, counter));
    state[word] = Number(output & 0xffffffffn);
    state[word + 1] = Number(output >> 32n);
  }
  return state;
}

/** What splitmix64 makes of one value of its counter (Steele, Lea and Flood, 2014; splitmix64.c at the same place). */
function splitmix64Mix(counter: bigint): bigint {
  let z = counter;
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
  return z ^ (z >> 31n);
}

/** The generator itself: 32-bit integers, from four words of state that are not all zero. */
export function xoshiro128starstar([w0 = 0, w1 = 0, w2 = 0, w3 = 0]: Uint32Array): () => number {
  let s0 = w0;
  let s1 = w1;
  let s2 = w2;
  let s3 = w3;
  return () => {
    const result = Math.imul(rotateLeft(Math.imul(s1, 5), 7), 9) >>> 0;
    const t = s1 << 9;
    s2 ^= s0;
    s3 ^= s1;
    s1 ^= s2;
    s0 ^= s3;
    s2 ^= t;
    s3 = rotateLeft(s3, 11);
    return result;
  };
}

function rotateLeft(x: number, bits: number): number {
  return (x << bits) | (x >>> (32 - bits));
}
