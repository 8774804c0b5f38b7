// pack, encode, matvec, matmul and embed of every weight type against float64 twins written here; test/quantize.ts and
// test/dequantize.ts follow ggml's reference for the file layouts.

import { describe, expect, it } from "vitest";
import { type TensorType, tensorTypes } from "../runtime/formats/tensor-types.js";
import { packedAs } from "../runtime/memory/layout.js";
import { encodedBytes, packedBytes } from "../runtime/memory/tensor.js";
import { dequantize } from "../test/dequantize.js";
import { type Lab, labs, maxError, places, randomFloats } from "../test/kernel-lab.js";
import { quantize } from "../test/quantize.js";

const types: readonly TensorType[] = [
  "F32",
  "BF16",
  "F16",
  "Q8_0",
  "Q4_0",
  "Q4_1",
  "Q5_1",
  "Q2_K",
  "Q4_K",
  "Q5_K",
  "Q6_K",
  "Q5_0",
  "IQ4_NL",
  "Q3_K",
];

/** Rows that fill groups of 8 and that do not; columns in blocks where the type has them. */
const rowCounts = [1, 2, 3, 4, 5, 7, 8, 9, 11, 16, 21];
const colCounts = (type: TensorType) =>
  ({ 1: [1, 2, 3, 8, 12, 33, 172, 1023], 32: [32, 64, 96, 160, 1024], 256: [256, 512, 1280] })[
    blockSize(type)
  ];

function blockSize(type: TensorType): 1 | 32 | 256 {
  return tensorTypes[type].blockSize;
}

/** Two blocks of the types that have them. */
const twoBlocks = (type: TensorType) => Math.max(64, 2 * blockSize(type));

interface Case {
  readonly type: TensorType;
  readonly rows: number;
  readonly cols: number;
  readonly file: Uint8Array<ArrayBuffer>;
  /** The weights that the file's bytes stand for. */
  readonly weights: Float64Array;
}

function makeCase(type: TensorType, rows: number, cols: number, seed = rows * 31 + cols): Case {
  const file = new Uint8Array(quantize(type, randomFloats(rows * cols, seed, 0.05)));
  return { type, rows, cols, file, weights: dequantize(type, file) };
}

/** Activations as the integer kernels see them: int8 with a scale for every `size`, rounded half to even. */
function quantizedActivations(x: Float32Array, size: number): Float64Array {
  const out = new Float64Array(x.length);
  for (let block = 0; block < x.length; block += size) {
    const highest = Math.max(...x.subarray(block, block + size).map(Math.abs));
    const inverse = Math.fround(127 / highest);
    for (let i = block; i < block + size; i++) {
      out[i] = highest === 0 ? 0 : roundHalfToEven(Math.fround(x[i]! * inverse)) * Math.fround(highest / 127);
    }
  }
  return out;
}

function roundHalfToEven(x: number): number {
  const down = Math.floor(x);
  const rest = x - down;
  return rest === 0.5 ? down + (down % 2 ? 1 : 0) : Math.round(x);
}

/** Weights that share a minimum. */
const minimumFor: Partial<Record<TensorType, number>> = { Q4_1: 32, Q5_1: 32, Q2_K: 16, Q4_K: 32, Q5_K: 32 };

/** Where a block has its half floats; 0 where it is not said. */
const halvesAt: Partial<Record<TensorType, readonly number[]>> = {
  Q4_1: [0, 2],
  Q5_1: [0, 2],
  Q2_K: [80, 82],
  Q3_K: [108],
  Q4_K: [0, 2],
  Q5_K: [0, 2],
  Q6_K: [208],
};

/**
 * weights . x of one position, with the sum of magnitudes that rounding errors are measured by. Weights of types with a
 * minimum are differences, scale * q - minimum, of numbers that may be as large as the largest weight of their sub-block.
 */
function exactProduct(
  { type, rows, cols, weights }: Case,
  x: Float32Array,
): { y: number; magnitude: number }[] {
  const seen = blockSize(type) > 1 ? quantizedActivations(x, blockSize(type)) : x;
  const sharing = minimumFor[type] ?? 1;
  return Array.from({ length: rows }, (_, row) => {
    let y = 0;
    let magnitude = 0;
    for (let col = 0; col < cols; col++) {
      const at = row * cols + col;
      y += weights[at]! * seen[col]!;
      const first = at - (at % sharing);
      const size = Math.max(...weights.subarray(first, first + sharing).map(Math.abs));
      magnitude += size * Math.abs(seen[col]!);
    }
    return { y, magnitude };
  });
}

/** Packs the case's weights into the lab's memory. */
function pack(lab: Lab, { type, rows, cols, file }: Case): number {
  const source = lab.put(file);
  const packed = lab.room(packedBytes(packedAs[type], rows, cols) / 4);
  const name = type.toLowerCase() as Lowercase<typeof type>;
  expect(lab.kernels[`pack_${name}`](packed, source, rows, cols)).toBe(-1);
  return packed;
}

/** The product of n positions: tiles of four by matmul, the rest by matvec, or all by matvec. */
function multiply(
  lab: Lab,
  c: Case,
  packed: number,
  x: Float32Array<ArrayBuffer>,
  n: number,
  how: "tiles" | "single",
): Float32Array {
  const { rows, cols } = c;
  const type = packedAs[c.type];
  const bytes = encodedBytes(type, cols);
  const px = lab.put(x);
  const encoded = lab.room((n * bytes) / 4);
  const out = lab.room(n * rows);
  const encode = lab.kernels[`encode_${type}`];
  const matmul = lab.kernels[`matmul_${type}`];
  const matvec = lab.kernels[`matvec_${type}`];
  const tiles = how === "tiles" ? Math.floor(n / 4) : 0;
  for (let tile = 0; tile < tiles; tile++)
    encode(encoded + tile * 4 * bytes, px + tile * 4 * cols * 4, cols, 4);
  if (tiles) matmul(out, packed, encoded, 0, rows, rows, cols, tiles, 4 * bytes);
  for (let i = tiles * 4; i < n; i++) {
    encode(encoded + i * bytes, px + i * cols * 4, cols, 1);
    matvec(out + i * rows * 4, packed, encoded + i * bytes, 0, rows, cols);
  }
  lab.check();
  return lab.floats(out, n * rows);
}

describe.each(labs)("$name build", (lab) => {
  describe.each(types)("%s", (type) => {
    it.each(rowCounts)("matvec of %i rows agrees with float64 to 1e-6 of the terms' magnitudes", (rows) => {
      for (const cols of colCounts(type)) {
        const c = makeCase(type, rows, cols);
        const x = randomFloats(cols, cols, 3);
        const expected = exactProduct(c, x);
        for (const place of places.slice(0, 2)) {
          lab.place(place);
          const found = multiply(lab, c, pack(lab, c), x, 1, "single");
          found.forEach((y, i) => {
            expect(Math.abs(y - expected[i]!.y), `${rows} x ${cols}, row ${i}`).toBeLessThanOrEqual(
              1e-6 * expected[i]!.magnitude,
            );
          });
        }
      }
    });

    it("matmul gives the same bits as matvec, whatever the number of positions", () => {
      for (const rows of [3, 8, 12, 21]) {
        for (const cols of colCounts(type).slice(0, 4)) {
          const c = makeCase(type, rows, cols);
          for (const n of [1, 2, 3, 4, 5, 8, 11]) {
            const x = randomFloats(n * cols, n, 2);
            lab.place(65_536);
            const packed = pack(lab, c);
            expect(multiply(lab, c, packed, x, n, "tiles")).toEqual(multiply(lab, c, packed, x, n, "single"));
          }
        }
      }
    });

    it("a range of rows gives what the whole gives, and writes nothing else", () => {
      const cols = twoBlocks(type);
      const c = makeCase(type, 37, cols);
      const packedType = packedAs[type];
      lab.place(65_536);
      const packed = pack(lab, c);
      const x = randomFloats(cols, 9);
      const whole = multiply(lab, c, packed, x, 1, "single");
      const [encoded, out] = [lab.room(encodedBytes(packedType, cols) / 4), lab.room(37)];
      lab.kernels[`encode_${packedType}`](encoded, lab.put(x), cols, 1);
      lab.kernels[`matvec_${packedType}`](out, packed, encoded, 8, 24, cols);
      const found = lab.floats(out, 37);
      expect(found.subarray(8, 24)).toEqual(whole.subarray(8, 24));
      expect([...found.subarray(0, 8), ...found.subarray(24)].every(Number.isNaN)).toBe(true);
    });

    it("embed gives the file's weights exactly, rounded once to f32", () => {
      for (const cols of colCounts(type)) {
        const c = makeCase(type, 11, cols);
        lab.place(65_536);
        const packed = pack(lab, c);
        for (const row of [0, 1, 7, 8, 10]) {
          const out = lab.room(cols);
          lab.kernels[`embed_${packedAs[type]}`](out, packed, row, cols);
          lab.check();
          expect(lab.floats(out, cols)).toEqual(
            Float32Array.from(c.weights.subarray(row * cols, (row + 1) * cols)),
          );
        }
      }
    });

    it("pack reports the first row with an infinity or a NaN", () => {
      const cols = twoBlocks(type);
      const { blockBytes } = tensorTypes[type];
      for (const bits of type === "F32"
        ? [0x7f800000, 0xff800000, 0x7fc00000]
        : type === "BF16"
          ? [0x7f80, 0xff80, 0x7fc1]
          : [0x7c00, 0xfc00, 0x7e00]) {
        // in the last block of row 5: the value itself, or each of the block's half floats
        for (const at of halvesAt[type] ?? [0]) {
          const c = makeCase(type, 9, cols);
          const view = new DataView(c.file.buffer);
          const block = 6 * (c.file.length / 9) - blockBytes;
          if (type === "F32") view.setUint32(block, bits, true);
          else view.setUint16(block + at, bits, true);
          lab.place(65_536);
          const packed = lab.room(packedBytes(packedAs[type], 9, cols) / 4);
          const source = lab.put(c.file);
          const pack = lab.kernels[`pack_${type.toLowerCase() as Lowercase<typeof type>}`];
          expect(pack(packed, source, 9, cols)).toBe(5);
        }
      }
    });

    it("a NaN or an infinity among the activations reaches every output", () => {
      const cols = twoBlocks(type);
      const c = makeCase(type, 9, cols);
      for (const poison of [Number.NaN, Number.POSITIVE_INFINITY]) {
        for (const at of [0, 17, cols - 1]) {
          const x = randomFloats(cols * 4, 3);
          for (let t = 0; t < 4; t++) x[t * cols + at] = poison;
          lab.place(65_536);
          const packed = pack(lab, c);
          for (const y of multiply(lab, c, packed, x, 4, "tiles")) expect(Number.isFinite(y)).toBe(false);
        }
      }
    });

    it.runIf(blockSize(type) > 1)(
      "activations too small for a finite inverse of their scale count as zeros",
      () => {
        const cols = twoBlocks(type);
        const c = makeCase(type, 8, cols);
        lab.place(65_536);
        const x = Float32Array.from({ length: cols }, (_, i) => (i % 3 ? 0 : 1e-39));
        const found = multiply(lab, c, pack(lab, c), x, 1, "single");
        expect([...found].map(Math.abs)).toEqual(Array(8).fill(0));
      },
    );

    it("zeros give zeros, and works up to the last byte of a 4 GiB memory", () => {
      const cols = Math.max(32, blockSize(type));
      const c = makeCase(type, 8, cols);
      const packedType = packedAs[type];
      const encoded = encodedBytes(packedType, cols);
      const size = 3 * 64 + packedBytes(packedType, 8, cols) + Math.ceil(encoded / 16) * 16 + 32;
      lab.place(65_536);
      const source = lab.put(c.file);
      const zeros = lab.put(new Float32Array(cols));
      lab.place("end", size);
      const packed = lab.room(packedBytes(packedType, 8, cols) / 4);
      const x = lab.room(encoded / 4);
      const out = lab.room(8);
      lab.kernels[`pack_${type.toLowerCase() as Lowercase<typeof type>}`](packed, source, 8, cols);
      lab.kernels[`encode_${packedType}`](x, zeros, cols, 1);
      lab.kernels[`matvec_${packedType}`](out, packed, x, 0, 8, cols);
      expect(out + 32).toBe(65_535 * 65_536);
      expect([...lab.floats(out, 8)].map(Math.abs)).toEqual(Array(8).fill(0));
    });
  });

  it.each(types.filter((type) => blockSize(type) > 1))(
    "%s is right at the extremes of weights and activations",
    (type) => {
      // every weight, scale and activation at an end of its range, in combinations of signs
      const cols = twoBlocks(type);
      const { blockBytes } = tensorTypes[type];
      for (const [most, least] of [
        [0xff, 0x00],
        [0xff, 0xff],
        [0xf0, 0x0f],
        [0x7f, 0x80],
      ] as const) {
        const file = makeCase(type, 8, cols).file;
        const isScale = (i: number) => (halvesAt[type] ?? [0]).some((at) => i === at || i === at + 1);
        for (let i = 0; i < file.length; i++) {
          if (!isScale(i % blockBytes)) file[i] = i % 3 ? most : least;
        }
        const c: Case = { type, rows: 8, cols, file, weights: dequantize(type, file) };
        for (const sign of [-1, 1]) {
          const x = Float32Array.from({ length: 4 * cols }, (_, i) => (i % 2 ? sign : 1) * 1e4);
          lab.place(65_536);
          const packed = pack(lab, c);
          const expected = exactProduct(c, x.subarray(0, cols));
          const found = multiply(lab, c, packed, x, 4, "tiles");
          found.forEach((y, i) => {
            const { y: exact, magnitude } = expected[i % 8]!;
            expect(Math.abs(y - exact)).toBeLessThanOrEqual(1e-6 * magnitude);
          });
        }
      }
    },
  );

  it("f16 weights are right at both ends of their range and for subnormals", () => {
    const values = Float32Array.of(
      65_504,
      -65_504,
      2 ** -24,
      -(2 ** -24),
      2 ** -14,
      6e-5,
      0,
      -0,
      1,
      2 ** -20,
    );
    const file = new Uint8Array(quantize("F16", values));
    const c: Case = { type: "F16", rows: 1, cols: 10, file, weights: dequantize("F16", file) };
    for (const scale of [1e-3, 1, 1e5]) {
      for (let col = 0; col < 10; col++) {
        const x = new Float32Array(10);
        x[col] = scale;
        lab.place(65_536);
        const [y] = multiply(lab, c, pack(lab, c), x, 1, "single") as unknown as [number];
        expect(maxError([y], [Math.fround(c.weights[col]! * x[col]!)])).toBe(0);
      }
    }
  });
});

// where the factors that a build folds into a scale overflow, they have to do so in every build
it.each(types)("%s: the builds give the same for activations from 1e5 to 1e38", (type) => {
  const cols = twoBlocks(type);
  const c = makeCase(type, 9, cols);
  for (let exponent = 5; exponent <= 38; exponent++) {
    const x = randomFloats(5 * cols, exponent).map((value) => value * 10 ** exponent);
    const results = labs.map((lab) => {
      lab.place(65_536);
      return multiply(lab, c, pack(lab, c), x, 5, "tiles");
    });
    for (const result of results) expect(result, `1e${exponent}`).toEqual(results[0]);
  }
});

it.each(types)("%s: the builds give the same bits", (type) => {
  const c = makeCase(type, 43, 768);
  const x = randomFloats(6 * 768, 4, 5);
  const results = labs.map((lab) => {
    lab.place(65_536);
    return multiply(lab, c, pack(lab, c), x, 6, "tiles");
  });
  for (const result of results) expect(result).toEqual(results[0]);
});
