// cache_* and attention_* against a float64 twin written here, which is given the keys and values as the cache's type rounds them.

import { describe, expect, it } from "vitest";
import { dequantize } from "../test/dequantize.js";
import { labs, maxError, places, randomFloats } from "../test/kernel-lab.js";
import { quantize } from "../test/quantize.js";

interface Shape {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly contextLength: number;
  readonly position: number;
  readonly positions: number;
}

/** out[t, h] = sum_i softmax_i(q . k_i / sqrt(headDim)) v_i over i <= position + t; k, v [contextLength, kvHeads, headDim] */
function exactAttention(s: Shape, q: Float32Array, k: Float32Array, v: Float32Array): Float64Array {
  const out = new Float64Array(q.length);
  for (let t = 0; t < s.positions; t++) {
    for (let head = 0; head < s.heads; head++) {
      const kvHead = Math.floor(head / (s.heads / s.kvHeads));
      const at = (t * s.heads + head) * s.headDim;
      const scores = Array.from({ length: s.position + t + 1 }, (_, i) => {
        const key = (i * s.kvHeads + kvHead) * s.headDim;
        let dot = 0;
        for (let d = 0; d < s.headDim; d++) dot += q[at + d]! * k[key + d]!;
        return dot / Math.sqrt(s.headDim);
      });
      const highest = Math.max(...scores);
      const e = scores.map((score) => Math.exp(score - highest));
      const sum = e.reduce((a, b) => a + b, 0);
      e.forEach((weight, i) => {
        const value = (i * s.kvHeads + kvHead) * s.headDim;
        for (let d = 0; d < s.headDim; d++) out[at + d]! += (weight / sum) * v[value + d]!;
      });
    }
  }
  return out;
}

const headDims = Array.from({ length: 128 }, (_, i) => 2 + 2 * i); // every even size from 2 to 256
const headCounts = [
  [1, 1],
  [4, 4],
  [4, 2],
  [6, 2],
  [8, 1],
] as const;

/** What the cache makes of f32[.., headDim]. */
const rounded = {
  f32: (x: Float32Array) => x,
  f16: (x: Float32Array) => Float32Array.from(dequantize("F16", quantize("F16", x))),
  /** int8 times the largest of 32 dimensions over 127, in f32, ties to even */
  q8_0(x: Float32Array, headDim: number) {
    const out = new Float32Array(x.length);
    for (let row = 0; row < x.length; row += headDim) {
      for (let block = 0; block < headDim; block += 32) {
        const values = x.subarray(row + block, row + Math.min(block + 32, headDim));
        const highest = Math.max(...values.map(Math.abs));
        const inverse = Math.fround(127 / highest);
        values.forEach((value, i) => {
          const scaled = Math.fround(value * inverse);
          const floor = Math.floor(scaled);
          const odd = floor % 2 !== 0;
          const half = scaled - floor === 0.5;
          const integer = half ? floor + Number(odd) : Math.round(scaled);
          out[row + block + i] = integer * Math.fround(highest / 127);
        });
      }
    }
    return out;
  },
} as const;
const cacheTypes = Object.keys(rounded) as (keyof typeof rounded)[];

/** Bytes of a row, as lib/cache.ts lays it. */
function rowBytes(type: keyof typeof rounded, headDim: number): number {
  const size = Math.ceil(headDim / 8) * 8;
  return { f32: 4 * size, f16: 2 * size, q8_0: size + 4 * Math.ceil(size / 32) }[type];
}

describe.each(labs)("$name build", (lab) => {
  describe.each(cacheTypes)("%s cache", (type) => {
    /** Fills the cache up to the last position and attends; positions that are not visible yet hold NaN. */
    function attend(
      s: Shape,
      q: Float32Array<ArrayBuffer>,
      k: Float32Array<ArrayBuffer>,
      v: Float32Array<ArrayBuffer>,
      chunk = s.positions,
    ) {
      const { heads, kvHeads, headDim, contextLength, position, positions } = s;
      const kvDim = kvHeads * headDim;
      const cacheFloats = (kvHeads * contextLength * rowBytes(type, headDim)) / 4;
      const [keys, values] = [lab.room(cacheFloats), lab.room(cacheFloats)];
      const scratch = lab.room(scratchFloats(headDim, contextLength));
      const [pq, pk, pv, out] = [lab.put(q), lab.put(k), lab.put(v), lab.room(q.length)];
      const store = (from: number, n: number) => {
        for (const [cache, x] of [
          [keys, pk],
          [values, pv],
        ] as const) {
          const offset = from * kvDim * 4;
          expect(
            lab.kernels[`cache_${type}`](cache, x + offset, from, n, kvHeads, headDim, contextLength),
          ).toBe(-1);
        }
      };
      if (position) store(0, position);
      for (let t = 0; t < positions; t += chunk) {
        const n = Math.min(chunk, positions - t);
        const offset = t * heads * headDim * 4;
        store(position + t, n);
        const units = kvHeads * Math.ceil((n * (heads / kvHeads)) / 4);
        // in two calls, the second half first
        for (const [begin, end] of [
          [units >> 1, units],
          [0, units >> 1],
        ] as const) {
          lab.kernels[`attention_${type}`](
            out + offset,
            pq + offset,
            keys,
            values,
            scratch,
            begin,
            end,
            heads,
            heads / kvHeads,
            headDim,
            contextLength,
            position + t,
            n,
            1 / Math.sqrt(headDim),
          );
        }
      }
      lab.check();
      return lab.floats(out, q.length);
    }

    function inputs(s: Shape) {
      const last = s.position + s.positions;
      return [
        randomFloats(s.positions * s.heads * s.headDim, 1, 2),
        randomFloats(last * s.kvHeads * s.headDim, 2, 2),
        randomFloats(last * s.kvHeads * s.headDim, 3),
      ] as const;
    }

    function exact(s: Shape, [q, k, v]: ReturnType<typeof inputs>) {
      return exactAttention(s, q, rounded[type](k, s.headDim), rounded[type](v, s.headDim));
    }

    it.each(headCounts)(
      "%i query heads over %i kv heads agree with float64 to 2e-5, for every even head size from 2 to 256",
      (heads, kvHeads) => {
        for (const headDim of headDims) {
          const s = { heads, kvHeads, headDim, contextLength: 8, position: 3, positions: 2 };
          const [q, k, v] = inputs(s);
          lab.place(65_536);
          expect(maxError(attend(s, q, k, v), exact(s, [q, k, v])), `head size ${headDim}`).toBeLessThan(
            2e-5,
          );
        }
      },
    );

    it.each([1, 2, 3, 4, 5, 8, 31, 257])("%i positions of context, also above 2 GiB", (contextLength) => {
      const s = { heads: 4, kvHeads: 2, headDim: 10, contextLength, position: 0, positions: contextLength };
      const [q, k, v] = inputs(s);
      const expected = exact(s, [q, k, v]);
      for (const place of places.slice(0, 2)) {
        lab.place(place);
        expect(maxError(attend(s, q, k, v), expected)).toBeLessThan(2e-5);
      }
    });

    it("gives the same bits for one chunk, chunks of 3 and one position at a time", () => {
      for (const [heads, kvHeads] of headCounts) {
        const s = { heads, kvHeads, headDim: 78, contextLength: 100, position: 45, positions: 47 };
        const [q, k, v] = inputs(s);
        const results = [47, 3, 1].map((chunk) => {
          lab.place(65_536);
          return attend(s, q, k, v, chunk);
        });
        expect(results[1]).toEqual(results[0]);
        expect(results[2]).toEqual(results[0]);
      }
    });
  });

  it("a cache of half floats holds the nearest one, ties to even, and refuses what is none", () => {
    lab.place(65_536);
    const ties = Array.from({ length: 0x7c00 }, (_, bits) => {
      const [below] = dequantize("F16", new Uint8Array(Uint16Array.of(bits).buffer));
      const above =
        bits === 0x7bff ? 65_536 : dequantize("F16", new Uint8Array(Uint16Array.of(bits + 1).buffer))[0]!;
      const middle = Math.fround((below! + above) / 2);
      return [below!, middle, -middle, middle * (1 + 2 ** -20), -middle * (1 - 2 ** -20)];
    }).flat();
    const x = Float32Array.from(ties.filter((value) => Math.abs(value) < 65_520));
    const count = x.length & ~7;
    const [cache, px] = [lab.room(count / 2), lab.put(x)];
    expect(lab.kernels.cache_f16(cache, px, 0, 1, count / 8, 8, 1)).toBe(-1);
    expect(lab.bytes(cache, count * 2)).toEqual(quantize("F16", x.subarray(0, count)));
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 65_520, -1e38]) {
      const values = new Float32Array(3 * 6);
      values[17] = bad;
      const pv = lab.put(values);
      expect(lab.kernels.cache_f16(cache, pv, 0, 3, 1, 6, 4), String(bad)).toBe(2);
      expect(lab.kernels.cache_q8_0(cache, pv, 0, 3, 1, 6, 4), String(bad)).toBe(
        Math.abs(bad) < 1e39 ? -1 : 2,
      );
    }
    expect(lab.kernels.cache_f16(cache, lab.put(new Float32Array(8).fill(65_519)), 0, 1, 1, 8, 1)).toBe(-1);
  });
});

/** Floats of the scratch: two tiles of four queries and their scores. */
function scratchFloats(headDim: number, contextLength: number): number {
  return 8 * Math.ceil(headDim / 8) * 8 + 4 * Math.ceil(contextLength / 4) * 4;
}
