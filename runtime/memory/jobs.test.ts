import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { labs, randomFloats } from "../../test/kernel-lab.js";
import { ALL, bindJobs, jobNumbers, MAX_JOB_ARGS, MAX_JOB_MATRICES, rowUnits } from "./jobs.js";

// Small integers, so that every product and sum is exact and the float64 twin has the same value.
const COLS = 12;
const integers = (count: number, seed: number) => randomFloats(count, seed, 8).map(Math.round);

const cuts = fc.record({
  rows: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: MAX_JOB_MATRICES }),
  chunk: fc.integer({ min: 1, max: 8 }).map((groups) => 8 * groups),
  seed: fc.nat(),
});

describe.each([
  { name: "matvec_f32", positions: 1, numbers: [COLS] },
  { name: "matmul_f32", positions: 4, numbers: [COLS, 1, 0] }, // one tile
] as const)("$name as a job of several matrices", ({ name, positions, numbers }) => {
  it.each(labs)("computes every row of each in build $name, however it is cut", (lab) => {
    const jobs = bindJobs(lab.kernels);
    fc.assert(
      fc.property(cuts, ({ rows, chunk, seed }) => {
        lab.place(65_536);
        const x = integers(positions * COLS, seed);
        const encoded = lab.room(positions * COLS);
        lab.kernels.encode_f32(encoded, lab.put(x), COLS, positions);
        const matrices = rows.map((count, i) => {
          const weights = integers(count * COLS, seed + i + 1);
          const packed = lab.room(rowUnits(count) * COLS);
          lab.kernels.pack_f32(packed, lab.put(weights), count, COLS);
          return { weights, packed, count, out: lab.room(count * positions) };
        });

        const args = new Float64Array(MAX_JOB_ARGS);
        args.set([
          encoded,
          ...numbers,
          ...matrices.flatMap(({ out, packed, count }) => [out, packed, count]),
        ]);
        const units = rows.reduce((sum, count) => sum + rowUnits(count), 0);
        for (let begin = 0; begin < units; begin += chunk) {
          expect(jobs[jobNumbers[name]]!(args, begin, Math.min(begin + chunk, units), 0)).toBe(ALL);
        }

        for (const { weights, count, out } of matrices) {
          const expected = Array.from({ length: positions * count }, (_, i) => {
            const [t, row] = [Math.floor(i / count), i % count];
            let sum = 0;
            for (let c = 0; c < COLS; c++) sum += weights[row * COLS + c]! * x[t * COLS + c]!;
            return sum;
          });
          expect([...lab.floats(out, positions * count)]).toEqual(expected);
        }
        lab.check();
      }),
      { numRuns: 60 },
    );
  });
});
