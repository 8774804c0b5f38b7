// cache_f32 and attention_f32 against a float64 twin written here.

import { describe, expect, it } from "vitest";
import { labs, maxError, places, randomFloats } from "../test/kernel-lab.js";

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

const headDims = Array.from({ length: 127 }, (_, i) => 4 + 2 * i); // every even size from 4 to 256
const headCounts = [
  [1, 1],
  [4, 4],
  [4, 2],
  [6, 2],
  [8, 1],
] as const;

describe.each(labs)("$name build", (lab) => {
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
    const [keys, values, scores] = [
      lab.room(contextLength * kvDim),
      lab.room(contextLength * kvDim),
      lab.room(contextLength),
    ];
    const [pq, pk, pv, out] = [lab.put(q), lab.put(k), lab.put(v), lab.room(q.length)];
    const store = (from: number, n: number) => {
      lab.kernels.cache_f32(keys, pk + from * kvDim * 4, from, n, kvHeads, headDim, contextLength);
      lab.kernels.cache_f32(values, pv + from * kvDim * 4, from, n, kvHeads, headDim, contextLength);
    };
    if (position) store(0, position);
    for (let t = 0; t < positions; t += chunk) {
      const n = Math.min(chunk, positions - t);
      const offset = t * heads * headDim * 4;
      store(position + t, n);
      lab.kernels.attention_f32(
        out + offset,
        pq + offset,
        keys,
        values,
        scores,
        0,
        heads,
        heads,
        heads / kvHeads,
        headDim,
        contextLength,
        position + t,
        n,
        1 / Math.sqrt(headDim),
      );
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

  it.each(headCounts)(
    "%i query heads over %i kv heads agree with float64 to 2e-5, for every even head size from 4 to 256",
    (heads, kvHeads) => {
      for (const headDim of headDims) {
        const s = { heads, kvHeads, headDim, contextLength: 8, position: 3, positions: 2 };
        const [q, k, v] = inputs(s);
        lab.place(65_536);
        const expected = exactAttention(s, q, k, v);
        expect(maxError(attend(s, q, k, v), expected), `head size ${headDim}`).toBeLessThan(2e-5);
      }
    },
  );

  it.each([1, 2, 3, 4, 5, 8, 31, 257])("%i positions of context, also above 2 GiB", (contextLength) => {
    const s = { heads: 4, kvHeads: 2, headDim: 10, contextLength, position: 0, positions: contextLength };
    const [q, k, v] = inputs(s);
    const expected = exactAttention(s, q, k, v);
    for (const place of places.slice(0, 2)) {
      lab.place(place);
      expect(maxError(attend(s, q, k, v), expected)).toBeLessThan(2e-5);
    }
  });

  it("gives the same bits for one chunk, chunks of 3 and one position at a time", () => {
    const s = { heads: 6, kvHeads: 3, headDim: 14, contextLength: 40, position: 5, positions: 17 };
    const [q, k, v] = inputs(s);
    const results = [17, 3, 1].map((chunk) => {
      lab.place(65_536);
      return attend(s, q, k, v, chunk);
    });
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
  });

  it("computes only the heads asked for", () => {
    const s = { heads: 4, kvHeads: 2, headDim: 8, contextLength: 4, position: 0, positions: 1 };
    lab.place(65_536);
    const [keys, values, scores] = [lab.put(randomFloats(64, 1)), lab.put(randomFloats(64, 2)), lab.room(4)];
    const [q, out] = [lab.put(randomFloats(32, 3)), lab.room(32)];
    lab.kernels.attention_f32(out, q, keys, values, scores, 1, 3, s.heads, 2, s.headDim, 4, 0, 1, 0.3);
    expect([...lab.floats(out, 32)].map(Number.isNaN)).toEqual(
      Array.from({ length: 32 }, (_, i) => i < 8 || i >= 24),
    );
  });
});
