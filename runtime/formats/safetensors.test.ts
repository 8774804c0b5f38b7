import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sharedData } from "../../test/shared-data.js";
import { safetensorsFile, writeSafetensors } from "../../test/write-safetensors.js";
import { FormatError } from "../errors.js";
import { openSafetensors } from "./safetensors.js";
import { bytesSource, type Source } from "./source.js";

const open = (bytes: Uint8Array) => openSafetensors(bytesSource(bytes, "x.safetensors"));

const bytesOf = (length: number, first: number) => Uint8Array.from({ length }, (_, i) => first + i);
const good = writeSafetensors([
  { name: "b", shape: [2, 2], dtype: "F16", bytes: bytesOf(8, 1) },
  { name: "a", shape: [4], dtype: "F32", bytes: bytesOf(16, 50) },
]);

/** A file with one tensor "a" of four f32 weights, whose entry is `entry`. */
const oneTensor = (entry: string, dataBytes = 16) =>
  safetensorsFile(`{"a":${entry}}`, new Uint8Array(dataBytes));

describe("openSafetensors()", () => {
  it("lists the tensors with their places in the file", async () => {
    const { tensors } = await open(good);
    const start = good.length - 24;
    expect([...tensors.values()]).toEqual([
      { name: "b", shape: [2, 2], type: "F16", offset: start, bytes: 8 },
      { name: "a", shape: [4], type: "F32", offset: start + 8, bytes: 16 },
    ]);
  });

  it("takes metadata, spaces at the header's end, scalars, empty tensors, and a tensor named __proto__", async () => {
    const header = `{"__metadata__":{"format":"pt"},"__proto__":{"dtype":"F32","shape":[],"data_offsets":[0,4]},
      "none":{"dtype":"BF16","shape":[0,7],"data_offsets":[4,4]}}   `;
    const { tensors } = await open(safetensorsFile(header, new Uint8Array(4)));
    expect([...tensors.keys()]).toEqual(["__proto__", "none"]);
    expect(tensors.get("none")).toMatchObject({ shape: [0, 7], bytes: 0 });
  });

  it.each([
    ["no bytes", new Uint8Array(), /length of the header: expected 8 bytes/],
    ["a header of no bytes", safetensorsFile(""), /length of the header: expected 2 to/],
    ["a header past the end", good.slice(0, 40), /length of the header: expected 2 to 32 bytes/],
    ["a header of 2^60 bytes", Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 16, 0x7b), /a size below 2\^53/],
    ["a header in an array", safetensorsFile("[]"), /expected a header that begins with "\{"/],
    ["a space in front of the header", safetensorsFile(" {}"), /expected a header that begins with "\{"/],
    ["duplicate tensors", safetensorsFile('{"a":{},"a":{}}'), /expected each key once/],
    [
      "duplicate fields",
      oneTensor('{"dtype":"F32","dtype":"F32","shape":[4],"data_offsets":[0,16]}'),
      /expected each key once/,
    ],
    ["metadata that are no strings", safetensorsFile('{"__metadata__":{"a":1}}'), /an object of strings/],
    ["an entry that is no object", oneTensor("3"), /expected an object of dtype/],
    ["no dtype", oneTensor('{"shape":[4],"data_offsets":[0,16]}'), /expected a dtype .* found nothing/],
    ["an unknown dtype", oneTensor('{"dtype":"f32","shape":[4],"data_offsets":[0,16]}'), /found "f32"/],
    [
      "a negative size",
      oneTensor('{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}'),
      /a shape of integers from 0 up, found \[-4\]/,
    ],
    [
      "a size with a point",
      oneTensor('{"dtype":"F32","shape":[4.0],"data_offsets":[0,16]}'),
      /a shape of integers/,
    ],
    [
      "sizes whose product wraps at 2^64",
      oneTensor('{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}', 0),
      /tensor "a": expected .* bytes for \[4294967296, 4294967296\] in F32/,
    ],
    [
      "offsets that do not go with the shape",
      oneTensor('{"dtype":"F32","shape":[3],"data_offsets":[0,16]}'),
      /expected 12 bytes for \[3\] in F32, found data_offsets 16 bytes apart/,
    ],
    [
      "offsets the wrong way round",
      oneTensor('{"dtype":"F32","shape":[4],"data_offsets":[16,0]}'),
      /expected data_offsets \[begin, end\]/,
    ],
    [
      "three offsets",
      oneTensor('{"dtype":"F32","shape":[4],"data_offsets":[0,16,32]}'),
      /expected data_offsets \[begin, end\]/,
    ],
    [
      "an end past the file's",
      oneTensor('{"dtype":"F32","shape":[4],"data_offsets":[8,24]}'),
      /to end at byte 16 of the data at most, found 24/,
    ],
    [
      "a hole in front",
      oneTensor('{"dtype":"F32","shape":[4],"data_offsets":[8,24]}', 24),
      /there is a hole before it/,
    ],
    [
      "bytes of no tensor",
      oneTensor('{"dtype":"F32","shape":[4],"data_offsets":[0,16]}', 17),
      /belong to no tensor/,
    ],
    [
      "tensors that overlap",
      safetensorsFile(
        '{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[4],"data_offsets":[8,24]}}',
        new Uint8Array(24),
      ),
      /it overlaps another tensor/,
    ],
    [
      "a field that the format does not have",
      oneTensor('{"dtype":"F32","shape":[4],"data_offsets":[0,16],"strides":[2]}'),
      /expected only dtype, shape, data_offsets, found "strides"/,
    ],
  ])("%s is a FormatError", async (_, bytes, message) => {
    await expect(open(bytes)).rejects.toThrow(FormatError);
    await expect(open(bytes)).rejects.toThrow(message);
  });

  it("a header over 100 MB is refused before it is read", async () => {
    const head = new Uint8Array(9);
    new DataView(head.buffer).setBigUint64(0, 100_000_001n, true);
    head[8] = 0x7b;
    const source: Source = {
      ...bytesSource(head, "x"),
      size: 2 ** 33,
      read: async (start, end) => {
        expect(end - start).toBeLessThan(16);
        return head.subarray(start, end);
      },
    };
    await expect(openSafetensors(source)).rejects.toThrow(
      /expected 2 to 100,000,000 bytes, found 100,000,001/,
    );
  });

  it("is a FormatError when it is cut, at whatever byte", async () => {
    for (let end = 0; end < good.length; end++) {
      await expect(open(good.slice(0, end)), `cut at ${end}`).rejects.toThrow(FormatError);
    }
  });

  it("opens or is a FormatError, whatever bytes are changed", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(good.length - 25), fc.nat(255)), { minLength: 1, maxLength: 3 }),
        async (changes) => {
          const bytes = good.slice();
          for (const [at, byte] of changes) bytes[at] = byte;
          await open(bytes).catch((error) => expect(error).toBeInstanceOf(FormatError));
        },
      ),
      { numRuns: 500 },
    );
  });
});

const broken = sharedData("bad/badst");

/** What we refuse and the safetensors library does not: the format says "{" comes first, and has no other fields. */
const stricter = ["dup_key_same", "extra_field", "leading_space"];

describe.skipIf(!broken)("the safetensors files of ../shared/data/bad (skipped without it)", () => {
  const cases = broken
    ? readFileSync(sharedData("bad/badfiles.jsonl")!, "utf8")
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Record<string, string>)
        .filter(({ fmt }) => fmt === "st")
    : [];

  it.each(cases.map((verdict) => [verdict.case!, verdict["safetensors 0.8"]!] as const))(
    "%s is opened or refused as by the safetensors library",
    async (name, verdict) => {
      const opening = open(new Uint8Array(readFileSync(`${broken}/${name}.safetensors`)));
      if (verdict.startsWith("REJECT") || stricter.includes(name)) {
        await expect(opening).rejects.toThrow(FormatError);
        return;
      }
      const { tensors } = await opening;
      // OK 2 [('b', [2, 2], 'F16'), ('a', [4], 'F32')]
      const listed = [...verdict.matchAll(/\('(\w+)', (\[[\d, ]*\]), '(\w+)'\)/g)];
      const expected = listed.map(([, tensor, shape, type]) => [tensor, JSON.parse(shape!), type]);
      const found = [...tensors.values()].map(({ name, shape, type }) => [name, shape, type]);
      expect(found.sort()).toEqual(expected.sort());
    },
  );
});
