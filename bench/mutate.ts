import { createRandom } from "../tokenizer/random.js";

/** Draws for one case of a fuzzer: all that it does follows from the seed. */
export class Dice {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = createRandom(seed);
  }

  /** A whole number from 0 to `count` - 1. */
  below(count: number): number {
    return Math.floor(this.#random() * count);
  }

  /** The same, small numbers far more often. */
  low(count: number): number {
    return Math.floor(this.#random() ** 4 * count);
  }

  chance(probability: number): boolean {
    return this.#random() < probability;
  }

  pick<T>(list: ArrayLike<T>): T {
    return list[this.below(list.length)]!;
  }
}

/** Values at which counts, lengths and ids go wrong. */
const edges = [0, 1, 2, 3, 127, 128, 255, 256, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];

type BytesMutation = (bytes: Uint8Array, dice: Dice, other: Uint8Array) => Uint8Array;

const byteMutations: readonly BytesMutation[] = [
  (bytes, dice) =>
    changed(bytes, dice, (at, view) => view.setUint8(at, view.getUint8(at) ^ (1 << dice.below(8)))),
  (bytes, dice) => changed(bytes, dice, (at, view) => view.setUint8(at, dice.below(256))),
  (bytes, dice) =>
    changed(bytes, dice, (at, view) => {
      if (at + 4 <= bytes.length) view.setUint32(at, dice.pick(edges), true);
    }),
  (bytes, dice) =>
    changed(bytes, dice, (at, view) => {
      if (at + 8 <= bytes.length) view.setBigUint64(at, 1n << BigInt(dice.below(64)), true);
    }),
  (bytes, dice) =>
    changed(bytes, dice, (at, view) => {
      if (at + 4 <= bytes.length)
        view.setFloat32(at, dice.pick([NaN, Infinity, -Infinity, -0, 1e38, -1e-40]), true);
    }),
  // cut short
  (bytes, dice) => bytes.slice(0, dice.below(bytes.length + 1)),
  // a part taken out
  (bytes, dice) => {
    const at = dice.below(bytes.length + 1);
    return joined(bytes.subarray(0, at), bytes.subarray(at + dice.low(bytes.length)));
  },
  // a part repeated
  (bytes, dice) => {
    const from = dice.below(bytes.length + 1);
    const part = bytes.subarray(from, from + dice.low(Math.min(bytes.length, 5000)));
    const at = dice.chance(0.5) ? from : dice.below(bytes.length + 1);
    return joined(bytes.subarray(0, at), part, bytes.subarray(at));
  },
  // a part of another file put in
  (bytes, dice, other) => {
    const from = dice.below(other.length + 1);
    const part = other.subarray(from, from + dice.low(Math.min(other.length, 5000)));
    const at = dice.below(bytes.length + 1);
    return joined(bytes.subarray(0, at), part, bytes.subarray(at + (dice.chance(0.5) ? part.length : 0)));
  },
];

/** The bytes with a few things done to them, at any place; `other` is where foreign parts come from. */
export function mutateBytes(bytes: Uint8Array, dice: Dice, other: Uint8Array): Uint8Array {
  let mutated = bytes;
  for (let left = dice.low(12); left >= 0; left--) mutated = dice.pick(byteMutations)(mutated, dice, other);
  return mutated;
}

function changed(bytes: Uint8Array, dice: Dice, change: (at: number, view: DataView) => void): Uint8Array {
  if (bytes.length === 0) return bytes;
  const copy = bytes.slice();
  change(dice.below(bytes.length), new DataView(copy.buffer));
  return copy;
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const oddValues: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  1e300,
  2 ** 32,
  "",
  "\u2581",
  "<s>",
  [],
  {},
  [[]],
  [null],
];

/** A copy of a JSON value in which some values are another's, odd ones, missing or there twice. */
export function mutateJson(value: unknown, dice: Dice): unknown {
  const copy = structuredClone(value);
  for (let left = dice.low(6); left >= 0; left--) {
    // walk down to some object or list
    let place = copy;
    for (;;) {
      const inner = Object.values(place as object).filter(
        (child) => typeof child === "object" && child !== null,
      );
      if (inner.length === 0 || dice.chance(0.25)) break;
      place = dice.pick(inner);
    }
    const fields = place as Record<string, unknown>;
    const keys = Object.keys(fields);
    if (keys.length === 0) continue;
    const key = dice.pick(keys);
    if (dice.chance(0.3)) delete fields[key];
    else if (dice.chance(0.5)) fields[key] = dice.pick(oddValues);
    else fields[key] = structuredClone(fields[dice.pick(keys)]);
  }
  return copy;
}
