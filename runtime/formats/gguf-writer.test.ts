import { describe, expect, it } from "vitest";
import { randomCheckpoint, smallConfig } from "../../test/random-model.js";
import { llamaMetadata, plainVocabulary, tensorData, writeGguf as twin } from "../../test/write-gguf.js";
import type { MetadataValue } from "./checkpoint.js";
import { openGguf } from "./gguf.js";
import { type GgufOutputTensor, type GgufValue, type Sink, writeGguf } from "./gguf-writer.js";
import { bytesSource } from "./source.js";

/** A sink that keeps what it is given, piece by piece. */
function collect(): Sink & { readonly pieces: Uint8Array[]; bytes(): Uint8Array } {
  const pieces: Uint8Array[] = [];
  return {
    pieces,
    write: async (bytes) => {
      pieces.push(bytes.slice());
    },
    bytes: () => Uint8Array.from(Buffer.concat(pieces)),
  };
}

const values: Record<string, { type: string; value: unknown }> = {
  ...llamaMetadata(smallConfig(), plainVocabulary(48)),
  "test.u8": { type: "u8", value: 200 },
  "test.i8": { type: "i8", value: -5 },
  "test.u16": { type: "u16", value: 65535 },
  "test.i16": { type: "i16", value: -300 },
  "test.i32": { type: "i32", value: -(2 ** 31) },
  "test.f64": { type: "f64", value: Math.PI },
  "test.u64": { type: "u64", value: 2n ** 64n - 1n },
  "test.i64": { type: "i64", value: -(2n ** 63n) },
  "test.nested": { type: "i16[][]", value: [[1, -2], [], [3]] },
  "test.none": { type: "u32[]", value: [] },
  "test.bools": { type: "bool[]", value: [true, false] },
  "test.text": { type: "string", value: "llama \u{1f999}" },
};
const metadata = new Map(
  Object.entries(values).map(([key, { type, value }]): [string, GgufValue] => [
    key,
    { type, value: value as MetadataValue },
  ]),
);

const checkpoint = randomCheckpoint({ config: smallConfig(), type: "Q4_0", seed: 1 });
const data = await tensorData(checkpoint);
const tensors = data.map(({ name, shape, type, bytes }): GgufOutputTensor => {
  const rows = shape.length === 1 ? 1 : Number(shape[0]);
  const stride = bytes.length / rows;
  return {
    name,
    shape: shape as number[],
    type: type as string,
    rows: async (begin, end) => bytes.subarray(begin * stride, end * stride),
  };
});

describe("writeGguf()", () => {
  it("writes the bytes that the tests' own writer does", async () => {
    const sink = collect();
    const size = await writeGguf(sink, metadata, tensors);
    const expected = twin({ metadata: values, tensors: data });
    expect(sink.bytes()).toEqual(expected);
    expect(size).toBe(expected.length);
  });

  it("writes every value so that it is read again with its type", async () => {
    const sink = collect();
    await writeGguf(sink, metadata, tensors);
    const { metadata: found, metadataTypes } = await openGguf(bytesSource(sink.bytes()));
    expect([...metadataTypes].filter(([key]) => key !== "test.none")).toEqual(
      Object.entries(values)
        .map(([key, { type }]) => [key, type])
        .filter(([key]) => key !== "test.none"),
    );
    expect(found.get("test.u64")).toBe(2n ** 64n - 1n);
    expect(found.get("test.i64")).toBe(-(2n ** 63n));
    expect(found.get("test.f64")).toBe(Math.PI);
    expect(found.get("test.text")).toBe("llama \u{1f999}");
  });

  it("holds a few megabytes of a tensor at a time", async () => {
    const sink = collect();
    let rowsAsked = 0;
    const shape = [5000, 1024];
    const rows = async (begin: number, end: number) => {
      rowsAsked += end - begin;
      return new Uint8Array((end - begin) * 1024 * 2);
    };
    let last = [0, 0];
    const size = await writeGguf(sink, new Map(), [{ name: "large", shape, type: "F16", rows }], {
      onProgress: (...progress) => {
        last = progress;
      },
    });
    expect(rowsAsked).toBe(5000);
    expect(Math.max(...sink.pieces.map(({ length }) => length))).toBeLessThanOrEqual(4 << 20);
    expect(last).toEqual([size, size]);
  });

  it("rejects with the signal's reason, and with what the sink or the rows reject with", async () => {
    const reason = new Error("enough");
    const signal = AbortSignal.abort(reason);
    await expect(writeGguf(collect(), metadata, tensors, { signal })).rejects.toBe(reason);
    const full = new Error("the disk is full");
    await expect(writeGguf({ write: () => Promise.reject(full) }, metadata, tensors)).rejects.toBe(full);
    const broken = new Error("cannot read");
    const failing = { ...tensors[0]!, rows: () => Promise.reject(broken) };
    await expect(writeGguf(collect(), metadata, [failing])).rejects.toBe(broken);
  });
});
