import { describe, expect, it } from "vitest";
import { type GgufContents, type GgufTensorData, writeGguf } from "../../test/write-gguf.js";
import { FormatError, UnsupportedError } from "../errors.js";
import { openGguf } from "./gguf.js";
import { bytesSource, type Source } from "./source.js";

const f32 = (name: string, more: Partial<GgufTensorData> = {}): GgufTensorData => ({
  name,
  shape: [2, 4],
  type: "F32",
  bytes: new Uint8Array(32),
  ...more,
});

function fileWith(contents: Partial<GgufContents>): Uint8Array {
  return writeGguf({
    metadata: { x: { type: "u32", value: 7 } },
    tensors: [f32("a"), f32("b")],
    ...contents,
  });
}

/** The file of `fileWith`, with one number of it overwritten. */
function patched(at: number, type: "u32" | "u64", value: number | bigint, file = fileWith({})): Uint8Array {
  const view = new DataView(file.buffer);
  if (type === "u32") view.setUint32(at, Number(value), true);
  else view.setBigUint64(at, BigInt.asUintN(64, BigInt(value)), true);
  return file;
}

/** Where the first pair's value begins, when its key is one byte: header, key's length, key, type. */
const firstValue = 24 + 8 + 1 + 4;
const tensorCountAt = 8;
const pairCountAt = 16;

/** Arrays of one element in each other, to the given depth; by the specification's layout, as the writer recurses. */
function nestedArrays(depth: number): Uint8Array {
  const head = fileWith({ metadata: { x: { type: "u8[]", value: [] } }, tensors: [] });
  const file = new Uint8Array(firstValue + depth * 12 + 64);
  file.set(head.subarray(0, firstValue));
  const view = new DataView(file.buffer);
  for (let i = 0; i < depth; i++) {
    view.setUint32(firstValue + i * 12, 9, true); // array
    view.setBigUint64(firstValue + i * 12 + 4, 1n, true);
  }
  return file;
}

const open = (file: Uint8Array) => openGguf(bytesSource(file, "test.gguf"));

describe("openGguf() reads the header", () => {
  it("gives back what was written: metadata of every type, tensors in order, outermost dimension first", async () => {
    const metadata = {
      u8: { type: "u8", value: 255 },
      i8: { type: "i8", value: -128 },
      u16: { type: "u16", value: 65535 },
      i16: { type: "i16", value: -32768 },
      u32: { type: "u32", value: 4294967295 },
      i32: { type: "i32", value: -2147483648 },
      u64: { type: "u64", value: 18446744073709551615n },
      i64: { type: "i64", value: -9223372036854775808n },
      f32: { type: "f32", value: 0.5 },
      f64: { type: "f64", value: 0.1 },
      bool: { type: "bool", value: true },
      string: { type: "string", value: "ÄÖ▁" },
      strings: { type: "string[]", value: ["", "a"] },
      numbers: { type: "i16[]", value: [1, -1] },
      nested: { type: "u8[][]", value: [[1], [2, 3]] },
    };
    const gguf = await open(fileWith({ metadata }));
    expect(gguf.version).toBe(3);
    for (const [key, { type, value }] of Object.entries(metadata)) {
      expect(gguf.metadataTypes.get(key), key).toBe(type);
      const found = gguf.metadata.get(key);
      expect(ArrayBuffer.isView(found) ? Array.from(found as never) : found, key).toEqual(
        key === "nested" ? [new Uint8Array([1]), new Uint8Array([2, 3])] : value,
      );
    }
    expect([...gguf.tensors.keys()]).toEqual(["a", "b"]);
    expect(gguf.tensors.get("a")).toMatchObject({ shape: [2, 4], type: "F32", bytes: 32 });
  });

  it.each([1, 2, 8, 32, 64, 4096])("takes an alignment of %i", async (alignment) => {
    const { tensors } = await open(fileWith({ alignment }));
    const [a, b] = [...tensors.values()];
    expect(a!.offset % alignment).toBe(0);
    expect(b!.offset).toBe(a!.offset + Math.max(32, alignment));
  });

  it("takes version 2, which differs from 3 in nothing that is little-endian", async () => {
    expect((await open(fileWith({ version: 2 }))).version).toBe(2);
  });

  it("keeps a key __proto__ as a key like any other", async () => {
    const metadata = [["__proto__", { type: "string", value: "polluted" }]] as const;
    const gguf = await open(fileWith({ metadata }));
    expect(gguf.metadata.get("__proto__")).toBe("polluted");
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it("reads a header that is longer than the first window", async () => {
    const tokens = Array.from({ length: 100_000 }, (_, i) => `token ${i} of many`);
    const gguf = await open(fileWith({ metadata: { tokens: { type: "string[]", value: tokens } } }));
    expect(gguf.metadata.get("tokens")).toEqual(tokens);
    expect(gguf.tensors.size).toBe(2);
  });
});

describe("openGguf() refuses bad files", () => {
  const u64 = 2n ** 64n;
  const cases: [string, Uint8Array, typeof FormatError | typeof UnsupportedError, RegExp][] = [
    // row 5
    [
      "a bad magic",
      patched(0, "u32", 0x4c4d4747),
      FormatError,
      /not a GGUF file; it begins with .*47 47 4d 4c/,
    ],
    ["version 1", fileWith({ version: 1 }), UnsupportedError, /version 1 /],
    ["version 4", fileWith({ version: 4 }), UnsupportedError, /version 4 /],
    ["big-endian numbers", fileWith({ version: 3 << 24 }), UnsupportedError, /big-endian/],
    // row 6
    ...[2n ** 63n, 2n ** 40n, u64 - 1n, 1000n].flatMap((count): (typeof cases)[number][] => [
      [`${count} tensors`, patched(tensorCountAt, "u64", count), FormatError, /number of tensors: expected/],
      [
        `${count} pairs`,
        patched(pairCountAt, "u64", count),
        FormatError,
        /number of metadata pairs: expected/,
      ],
    ]),
    // row 7
    ...[2n ** 62n, 10n ** 9n, u64 - 1n, 10_000n].flatMap((length): (typeof cases)[number][] => {
      const text = fileWith({ metadata: { x: { type: "string", value: "text" } } });
      const array = fileWith({ metadata: { x: { type: "f32[]", value: [1, 2] } } });
      const arrays = fileWith({ metadata: { x: { type: "u8[][]", value: [[1], [2]] } } });
      return [
        [`a key of ${length} bytes`, patched(24, "u64", length), FormatError, /length of key 0: expected/],
        [
          `a string of ${length} bytes`,
          patched(firstValue, "u64", length, text),
          FormatError,
          /"x": expected/,
        ],
        [
          `an array of ${length}`,
          patched(firstValue + 4, "u64", length, array),
          FormatError,
          /"x": expected/,
        ],
        [`${length} arrays`, patched(firstValue + 4, "u64", length, arrays), FormatError, /"x": expected/],
      ];
    }),
    ["a value type 13", patched(firstValue - 4, "u32", 13), FormatError, /type of "x": expected .*found 13/],
    // row 8
    ["arrays nested 5 deep", nestedArrays(5), FormatError, /nested at most 4 deep/],
    ["arrays nested 20,000 deep", nestedArrays(20_000), FormatError, /nested at most 4 deep/],
    // row 9
    [
      "a key twice",
      fileWith({ metadata: ["x", "x"].map((key) => [key, { type: "u8", value: 1 }] as const) }),
      FormatError,
      /key 1: expected each key once, found "x" again/,
    ],
    [
      "an empty key",
      fileWith({ metadata: { "": { type: "u8", value: 1 } } }),
      FormatError,
      /key 0: .*found 0/,
    ],
    // row 10
    ...[0, 3, 24, 2 ** 31].map((alignment): (typeof cases)[number] => [
      `an alignment of ${alignment}`,
      fileWith({ metadata: { "general.alignment": { type: "u32", value: alignment } } }),
      FormatError,
      new RegExp(`general.alignment: expected .*found ${alignment}`),
    ]),
    [
      "an alignment of the wrong type",
      fileWith({ metadata: { "general.alignment": { type: "u64", value: 32 } } }),
      FormatError,
      /general.alignment: expected a u32 .*found a u64/,
    ],
    // row 11
    ...(
      [
        ["2^32 x 2^32", [2n ** 32n, 2n ** 32n], "F32", /"a": expected at most the/],
        ["a size that wraps to 64 bytes", [2n ** 32n, 2n ** 32n + 64n], "F32", /"a": expected at most the/],
        ["a block size that wraps", [2n ** 61n + 32n], "Q4_0", /dimension 0: expected a size below 2\^53/],
        ["a negative dimension", [u64 - 64n], "F32", /dimension 0: expected a size below 2\^53/],
        ["a dimension of 0", [4, 0], "F32", /dimension 0: expected at least 1/],
        ["no dimensions", [], "F32", /dimensions: expected 1 to 4, found 0/],
        ["five dimensions", [1, 1, 1, 1, 8], "F32", /dimensions: expected 1 to 4, found 5/],
      ] as const
    ).map(([name, shape, type, message]): (typeof cases)[number] => [
      name,
      fileWith({ tensors: [f32("a", { shape, type })] }),
      FormatError,
      message,
    ]),
    // row 12
    ...(
      [
        ["a Q4_0 row of 33 weights", { shape: [33], type: "Q4_0" }, /row of Q4_0 is a multiple of 32 .*33/],
        ["a Q4_K row of 64 weights", { shape: [64], type: "Q4_K" }, /row of Q4_K is a multiple of 256 .*64/],
        ["the removed type 4 (Q4_2)", { type: 4 }, /"a": type 4 is not one/],
        ["the removed type 31 (Q4_0_4_4)", { type: 31 }, /"a": type 31 is not one/],
        ["an unknown type 99", { type: 99 }, /"a": type 99 is not one/],
        ["a type -1", { type: -1 }, /"a": type -1 is not one/],
      ] as const
    ).map(([name, tensor, message]): (typeof cases)[number] => [
      name,
      fileWith({ tensors: [f32("a", tensor)] }),
      UnsupportedError,
      message,
    ]),
    // row 13
    ...(
      [
        ["an unaligned offset", 33, /"b": .*not a multiple of the alignment 32/],
        ["a gap", 64, /"b": .*after a gap/],
        ["an overlap", 0, /"(a|b)": .*overlapping/],
        ["an offset past the end", 2n ** 40n, /"b": .*after a gap/],
        ["a negative offset", u64 - 32n, /"b", offset: expected a size below 2\^53/],
      ] as const
    ).map(([name, offset, message]): (typeof cases)[number] => [
      name,
      fileWith({ tensors: [f32("a"), f32("b", { offset })] }),
      FormatError,
      message,
    ]),
    // row 14
    [
      "a tensor twice",
      fileWith({ tensors: [f32("a"), f32("a")] }),
      FormatError,
      /tensor 1: expected each name once/,
    ],
    [
      "a nameless tensor",
      fileWith({ tensors: [f32("")] }),
      FormatError,
      /name of tensor 0: expected 1 to 64/,
    ],
  ];

  it.each(cases)("%s", async (_, file, errorClass, message) => {
    const rejection = expect(open(file)).rejects;
    await rejection.toThrow(errorClass);
    await expect(open(file)).rejects.toThrow(message);
    await expect(open(file)).rejects.toThrow(/^Cannot read test\.gguf: /);
  });

  /** A file of 1 TiB, all zeros but for its beginning: it costs an attacker nothing, and a billion elements "fit". */
  function sparseFile(beginning: Uint8Array): { readonly source: Source; readonly reads: number[] } {
    const reads: number[] = [];
    const source = {
      name: "sparse.gguf",
      size: 2 ** 40,
      async read(start: number, end: number) {
        reads.push(end - start);
        const bytes = new Uint8Array(end - start);
        if (start < beginning.length) bytes.set(beginning.subarray(start, Math.min(end, beginning.length)));
        return bytes;
      },
      async close() {},
    };
    return { source, reads };
  }

  const manyInSparse: [string, bigint][] = [
    ["f32[]", 2n ** 37n],
    ["f32[]", 2n ** 24n], // of 64 MiB, and then an empty key
    ["string[]", 2n ** 36n],
    ["string[]", 2n ** 20n],
    ["u8[][]", 2n ** 36n],
    ["u8[][]", 2n ** 18n],
    ["string", 2n ** 39n],
  ];
  it.each(manyInSparse)("%s of %i elements in a sparse file", async (type, length) => {
    const value = type === "string" ? "" : [];
    const pairs = [
      ["x", { type, value }],
      ["y", { type, value }],
    ] as const;
    const file = fileWith({ metadata: pairs, tensors: [] });
    const lengthAt = type === "string" ? firstValue : firstValue + 4;
    const { source, reads } = sparseFile(patched(lengthAt, "u64", length, file).subarray(0, lengthAt + 8));
    const started = performance.now();
    await expect(openGguf(source)).rejects.toThrow(FormatError);
    expect(performance.now() - started).toBeLessThan(15_000);
    expect(reads.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThanOrEqual(160 << 20);
  });

  it.each([
    ["tensors", tensorCountAt],
    ["pairs", pairCountAt],
  ])("2^34 %s in a sparse file", async (_, at) => {
    const { source } = sparseFile(patched(at, "u64", 2n ** 34n));
    await expect(openGguf(source)).rejects.toThrow(/at most 2,097,152/);
  });
});
