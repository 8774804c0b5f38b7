import { describe, expect, it } from "vitest";
import { createRandom, stateFromSeed, xoshiro128starstar } from "./random.js";

// Expected values come from the authors' public-domain C, xoshiro128starstar.c 1.1 and splitmix64.c
// (https://prng.di.unimi.it), compiled with gcc 64-bit; each output of splitmix64 fills two words, lower half first.
const seeded = [
  {
    seed: 0,
    state: [2065550767, 3793791033, 2713282036, 1853398634],
    outputs: [3737715805, 2584255861, 2876756834, 3286328325, 1553311962],
    the1001st: 2542587513,
  },
  {
    seed: 1,
    state: [2298633409, 2433363436, 1703865447, 3203108257],
    outputs: [1695105466, 1423115009, 634581793, 1068227753, 716759206],
    the1001st: 3086276932,
  },
  {
    seed: 42,
    state: [803958421, 3184996902, 2993090819, 686809907],
    outputs: [1776835114, 4165204688, 17111135, 2317295270, 2792088233],
    the1001st: 327466450,
  },
  {
    seed: 2 ** 32,
    state: [2743206200, 3291240986, 1465302333, 934109149],
    outputs: [3857403066, 3761880522, 2833589495, 1190737128, 4014693229],
    the1001st: 2283713849,
  },
  {
    seed: 2 ** 32 + 1,
    state: [4250506607, 541299110, 3925620753, 837471144],
    outputs: [4031584720, 1012464676, 698777500, 3555081809, 1697140873],
    the1001st: 3265779265,
  },
  {
    seed: 2 ** 53 - 1,
    state: [4021704095, 616124332, 3074421144, 818148089],
    outputs: [1233166643, 1287031142, 661813442, 2960669951, 2601079046],
    the1001st: 513094572,
  },
];

describe("xoshiro128starstar()", () => {
  it("gives the reference's numbers from the state 1, 2, 3, 4", () => {
    const next = xoshiro128starstar(Uint32Array.of(1, 2, 3, 4));
    expect(Array.from({ length: 10 }, next)).toEqual([
      11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804,
    ]);
  });
});

describe("createRandom()", () => {
  it.each(seeded)("follows the reference from seed $seed", ({ seed, state, outputs, the1001st }) => {
    expect([...stateFromSeed(seed)]).toEqual(state);
    const random = createRandom(seed);
    expect(Array.from({ length: 5 }, () => random() * 2 ** 32)).toEqual(outputs);
    for (let i = 5; i < 1000; i++) random();
    expect(random() * 2 ** 32).toBe(the1001st);
  });

  it("stays in [0, 1) and spreads evenly over 64 intervals", () => {
    const random = createRandom(7);
    const counts = new Array<number>(64).fill(0);
    for (let i = 0; i < 64_000; i++) {
      const x = random();
      expect(x >= 0 && x < 1).toBe(true);
      counts[Math.floor(x * 64)]!++;
    }
    // chi-square with 63 degrees of freedom: above 103.4 once in a thousand
    const chiSquare = counts.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
    expect(chiSquare).toBeLessThan(103.4);
  });

  it("keeps generators apart", () => {
    const a = createRandom(5);
    const b = createRandom(5);
    const first = [a(), a(), a()];
    expect([b(), b(), b()]).toEqual(first);
  });
});
