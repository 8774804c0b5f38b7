import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { maxError } from "../../test/kernel-lab.js";
import { randomCheckpoint, smallConfig } from "../../test/random-model.js";
import { type ReferenceLayer, referenceLogits, referenceProjection } from "../../test/reference-model.js";
import { cacheTypes } from "../memory/choices.js";
import { forward, forwardAsync } from "./forward.js";
import type { LayerState, OnLayer } from "./layer-state.js";
import { type Llama, type LlamaOptions, loadLlama } from "./llama.js";

const ids = [1, 5, 9, 2, 33, 7, 7, 41, 0, 13, 8, 21, 47, 3, 19];
const config = smallConfig({ nLayers: 5, vocabSize: 480 });
const checkpoint = randomCheckpoint({ config, type: "F32", seed: 21 });
const { dim, nHeads, vocabSize } = config;

function load(options: Partial<LlamaOptions> = {}): Promise<Llama> {
  return loadLlama(checkpoint, { contextLength: config.contextLength, cacheType: "f32", ...options });
}

/** Feeds the ids in chunks; logits of the last one. */
function feed(llama: Llama, chunk: number, onLayer?: OnLayer): Float32Array {
  let logits!: Float32Array;
  for (let at = 0; at < ids.length; at += chunk) {
    logits = forward(llama, ids.slice(at, at + chunk), at, { onLayer });
  }
  return logits;
}

/** The twin's layers, each with a copy of its residual stream, and its logits. */
async function reference(steer?: (state: ReferenceLayer) => void) {
  const layers: ReferenceLayer[] = [];
  const logits = await referenceLogits(checkpoint, ids, (state) => {
    steer?.(state);
    layers.push({ ...state, residual: state.residual.map((row) => row.slice()) });
  });
  return { layers, logits };
}

const flat = (rows: readonly Float64Array[]) => rows.flatMap((row) => [...row]);

describe("onLayer against the float64 reference model", () => {
  let expected: Awaited<ReturnType<typeof reference>>;
  beforeAll(async () => {
    expected = await reference();
  });

  // the twin has no rounding: what differs is float32 in five layers
  const ways: readonly [string, Partial<LlamaOptions>, number][] = [
    ["at once", {}, ids.length],
    ["in chunks of 4", {}, 4],
    ["one by one", {}, 1],
    ["over several stages", { batch: 8, maxStageBytes: 500_000 }, 7],
    ["with three threads", { threads: 3 }, 7],
    ["with two threads over several stages", { threads: 2, batch: 8, maxStageBytes: 500_000 }, 8],
  ];
  it.each(ways)(
    "%s: every residual within 1e-4, every attention weight within 1e-5",
    async (_, options, chunk) => {
      const llama = await load(options);
      try {
        expect(llama.stages.length > 2).toBe(options.maxStageBytes !== undefined);
        let calls = 0;
        feed(llama, chunk, ({ layer, position, count, residual, attention }) => {
          const twin = expected.layers[layer]!;
          expect(residual.length).toBe(count * dim);
          expect(maxError(residual, flat(twin.residual.slice(position, position + count)))).toBeLessThan(
            1e-4,
          );

          const weights = attention();
          const length = position + count;
          expect(weights.length).toBe(count * nHeads * length);
          const rows = twin.attention
            .slice(position, position + count)
            .flatMap((heads) =>
              heads.flatMap((row) => [...row, ...Array<number>(length - row.length).fill(0)]),
            );
          expect(maxError(weights, rows)).toBeLessThan(1e-5);
          calls++;
        });
        expect(calls).toBe(config.nLayers * Math.ceil(ids.length / chunk));
      } finally {
        await llama.dispose();
      }
    },
  );

  it.each([false, true])(
    "projections of every layer's residuals within 1e-4 (tied classifier: %s)",
    async (tied) => {
      const model = randomCheckpoint({ config, type: "F32", seed: 22, tied });
      const layers: number[][] = [];
      await referenceLogits(model, ids.slice(0, 6), ({ residual }) => layers.push(flat(residual)));
      for (const maxStageBytes of [4e9, 500_000]) {
        const llama = await loadLlama(model, {
          contextLength: 16,
          cacheType: "f32",
          batch: 8,
          maxStageBytes,
        });
        const projections: Float32Array[] = [];
        forward(llama, ids.slice(0, 6), 0, {
          onLayer: (state) => projections.push(state.project(state.residual)),
        });
        for (const [layer, found] of projections.entries()) {
          const rows = Array.from({ length: 6 }, (_, i) =>
            Float64Array.from(layers[layer]!.slice(i * dim, (i + 1) * dim)),
          );
          expect(maxError(found, flat(await referenceProjection(model, rows)))).toBeLessThan(1e-4);
        }
      }
    },
  );

  it("what is written to a residual is what the layers above compute with: logits within 1e-4", async () => {
    const push = (row: Float32Array | Float64Array) => {
      for (let i = 0; i < dim; i++) row[i]! += i % 3 ? 0.5 : -1;
    };
    const steered = await reference(({ layer, residual }) => {
      if (layer === 2) for (const row of residual) push(row);
    });
    const llama = await load({ batch: 8, maxStageBytes: 500_000 });
    const logits = feed(llama, 7, ({ layer, count, residual }) => {
      if (layer !== 2) return;
      for (let i = 0; i < count; i++) push(residual.subarray(i * dim, (i + 1) * dim));
    });
    expect(maxError(logits, [...steered.logits.at(-1)!])).toBeLessThan(1e-4);
    expect(maxError(logits, [...expected.logits.at(-1)!])).toBeGreaterThan(0.1);
  });
});

it("of any shape, fed in any way: onLayer has the reference model's residuals and attention", async () => {
  const shapes = fc.record({
    nKvHeads: fc.integer({ min: 1, max: 3 }),
    headsPerKv: fc.integer({ min: 1, max: 4 }),
    headDim: fc.integer({ min: 1, max: 20 }).map((half) => 2 * half),
    rotated: fc.double({ min: 0, max: 1, noNaN: true }),
    hiddenDim: fc.integer({ min: 1, max: 40 }),
    nLayers: fc.integer({ min: 1, max: 3 }),
    seed: fc.nat(1000),
    fed: fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 4 }),
  });
  await fc.assert(
    fc.asyncProperty(shapes, async ({ headsPerKv, rotated, seed, fed, ...sizes }) => {
      const { nKvHeads, headDim } = sizes;
      const ropeDim = 2 * Math.ceil((rotated * headDim) / 2);
      const config = smallConfig({
        ...sizes,
        dim: 16,
        nHeads: nKvHeads * headsPerKv,
        ropeDim,
        contextLength: 24,
      });
      const model = randomCheckpoint({ config, type: "F32", seed });
      const length = fed.reduce((a, b) => a + b);
      const tokens = Array.from({ length }, (_, i) => (seed + 7 * i) % config.vocabSize);

      const twins: { readonly residual: number[]; readonly attention: number[][] }[] = [];
      await referenceLogits(model, tokens, ({ residual, attention }) => {
        twins.push({ residual: flat(residual), attention: attention.map(flat) });
      });
      const llama = await loadLlama(model, { contextLength: 24, cacheType: "f32" });
      let at = 0;
      for (const count of fed) {
        forward(llama, tokens.slice(at, at + count), at, {
          onLayer({ layer, residual, attention }) {
            const twin = twins[layer]!;
            expect(maxError(residual, twin.residual.slice(at * 16, (at + count) * 16))).toBeLessThan(1e-4);
            const weights = attention();
            const columns = at + count;
            for (let i = 0; i < count; i++) {
              const row = weights.subarray(i * config.nHeads * columns, (i + 1) * config.nHeads * columns);
              const seen = row.filter((_, t) => t % columns <= at + i);
              expect(maxError(seen, twin.attention[at + i]!)).toBeLessThan(1e-5);
              expect(row.filter((_, t) => t % columns > at + i).every((weight) => weight === 0)).toBe(true);
            }
          },
        });
        at += count;
      }
    }),
    { numRuns: 60 },
  );
});

describe("attention weights", () => {
  it.each(cacheTypes)(
    "with a cache of %s: the kernel's results are the values that they weigh, within 1e-5",
    async (cacheType) => {
      const llama = await load({ cacheType });
      const layers = llama.stages[0]!.layers;
      const { headDim, nKvHeads } = config;
      feed(llama, 4, ({ layer, position, count, attention }) => {
        const weights = attention();
        const attended = llama.stages[0]!.scratch(count).attended.view();
        const length = position + count;
        for (let row = 0; row < count * nHeads; row++) {
          const values = layers[layer]!.values.rows(Math.floor((row % nHeads) / (nHeads / nKvHeads)), length);
          const weighed = Array.from({ length: headDim }, (_, d) =>
            values.reduce(
              (sum, value, i) =>
                i % headDim === d ? sum + value * weights[row * length + Math.floor(i / headDim)]! : sum,
              0,
            ),
          );
          expect(maxError(attended.subarray(row * headDim, (row + 1) * headDim), weighed)).toBeLessThan(1e-5);
        }
      });
    },
  );
});

describe("onLayer", () => {
  let llama: Llama;
  beforeAll(async () => {
    llama = await load();
  });
  afterAll(() => llama.dispose());

  it("changes no bit when it only looks", () => {
    const alone = feed(llama, 4);
    const looking = feed(llama, 4, ({ attention, project, residual }) => {
      attention();
      project(residual);
    });
    expect(looking).toEqual(alone);
  });

  it("is shown the model's own memory", () => {
    const { buffer } = llama.embedding[0]!.matrix.stage.memory;
    feed(llama, 4, ({ residual }) => expect(residual.buffer).toBe(buffer));
  });

  it("projects the last layer to the model's logits, bit for bit", () => {
    let last!: Float32Array;
    const logits = forward(llama, ids, 0, {
      logitsFrom: 0,
      onLayer({ layer, residual, project }) {
        if (layer === config.nLayers - 1) last = project(residual);
      },
    });
    expect(last.length).toBe(ids.length * vocabSize);
    expect(last).toEqual(logits);
  });

  it("projects nothing to nothing, and refuses what is no whole number of rows", () => {
    forward(llama, ids, 0, {
      onLayer({ project }) {
        expect(project(new Float32Array(0)).length).toBe(0);
        expect(() => project(new Float32Array(dim + 1))).toThrow(RangeError);
        expect(() => project(new Float32Array(dim + 1))).toThrow(/expected rows of 64 floats, found 65/);
      },
    });
  });

  it("shows of layers whose weights are streamed what it shows of those in memory", async () => {
    const record =
      (seen: Float32Array[]): OnLayer =>
      (state) => {
        seen.push(state.residual.slice(), state.attention(), state.project(state.residual));
      };
    const expected: Float32Array[] = [];
    forward(llama, ids, 0, { onLayer: record(expected) });
    const streaming = await load({ streamedLayers: 3 });
    try {
      const found: Float32Array[] = [];
      await forwardAsync(streaming, ids, 0, { onLayer: record(found) });
      expect(found).toEqual(expected);
    } finally {
      await streaming.dispose();
    }
  });

  it("leaves a state that computes nothing any more", () => {
    const states: LayerState[] = [];
    forward(llama, ids, 0, { onLayer: (state) => states.push(state) });
    expect(states.map(({ layer }) => layer)).toEqual([0, 1, 2, 3, 4]);
    const [first] = states;
    expect(() => first!.attention()).toThrow(/layer 0: expected a call within onLayer, found one after it/);
    expect(() => first!.project(first!.residual)).toThrow(/found one after it/);
  });

  it("ends the pass with what it throws, and the model goes on with the next one", () => {
    const alone = feed(llama, 4);
    const stop = new Error("seen enough");
    expect(() =>
      feed(llama, 4, ({ layer }) => {
        if (layer === 1) throw stop;
      }),
    ).toThrow(stop);
    expect(feed(llama, 4)).toEqual(alone);
  });
});
