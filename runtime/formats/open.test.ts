import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sharedData } from "../../test/shared-data.js";
import { FormatError } from "../errors.js";
import { openCheckpoint } from "./open.js";
import { blobSource, bytesSource, fileSource } from "./source.js";

const latin1 = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));

describe("openCheckpoint() of what is no model", () => {
  const cases: [string, Uint8Array, RegExp][] = [
    ["an empty file", new Uint8Array(), /not a model; it is empty/],
    ["an HTML page", latin1("<!DOCTYPE html><html><body>404"), /not a model; it looks like an HTML page/],
    ["an HTML page after blank lines", latin1("\r\n\n <HTML lang=en>"), /it looks like an HTML page/],
    [
      "an HTML page after a byte order mark",
      latin1("\xef\xbb\xbf<!doctype html>"),
      /it looks like an HTML page/,
    ],
    ["an XML document", latin1('<?xml version="1.0"?><Error/>'), /it looks like an XML document/],
    [
      "a Git LFS pointer",
      latin1("version https://git-lfs.github.com/spec/v1\noid"),
      /it looks like a Git LFS/,
    ],
    [
      "a pickle",
      latin1("\x80\x02}q\x00(X\x03\x00\x00\x00abcq\x01K\x01u.".padEnd(100)),
      /it looks like a Python pickle/,
    ],
    ["a zip archive", latin1(`PK\x03\x04${"\0".repeat(60)}`), /it looks like a zip archive \(PyTorch/],
    ["a gzip archive", latin1(`\x1f\x8b\x08${"\0".repeat(60)}`), /it looks like a gzip archive/],
    ["a JSON file", latin1('{"error": "Repository not found"}'), /it looks like JSON text/],
    [
      "a GGML file of 2023",
      latin1(`tjgg\x03${"\0".repeat(60)}`),
      /it looks like a GGML file from before GGUF/,
    ],
    [
      "a SentencePiece model",
      latin1("\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\x02"),
      /it looks like a SentencePiece model/,
    ],
    ["text", latin1("Once upon a time, there was a llama."), /it begins with the bytes 4f 6e 63 65/],
    ["one byte", latin1("G"), /it begins with the bytes 47,/],
  ];
  it.each(cases)("%s says what it looks like", async (_, file, message) => {
    await expect(openCheckpoint(bytesSource(file, "model"))).rejects.toThrow(FormatError);
    await expect(openCheckpoint(bytesSource(file, "model"))).rejects.toThrow(message);
    await expect(openCheckpoint(bytesSource(file, "model"))).rejects.toThrow(
      /^Cannot open model: .*expected GGUF, Hugging Face's or Meta's files, or llama2\.c$/,
    );
  });

  it("any bytes at all are a FormatError", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        await expect(openCheckpoint(bytesSource(bytes))).rejects.toThrow(FormatError);
      }),
    );
  });

  it("leaves the source open: it is the caller's", async () => {
    let closed = false;
    const source = {
      ...bytesSource(latin1("no model")),
      close: async () => {
        closed = true;
      },
    };
    await expect(openCheckpoint(source)).rejects.toThrow(FormatError);
    expect(closed).toBe(false);
  });

  it("passes on what the source's read rejects with", async () => {
    const failure = new Error("the disk is gone");
    const source = { ...bytesSource(new Uint8Array(100)), read: () => Promise.reject(failure) };
    await expect(openCheckpoint(source)).rejects.toBe(failure);
  });
});

const legacy = sharedData("models/stories260K/stories260K.bin");
const gguf = sharedData("models/stories260K/stories260K.gguf");

describe.skipIf(!legacy || !gguf)("openCheckpoint() of a model (skipped without ../shared)", () => {
  it.each([
    ["stories260K.bin", legacy],
    ["stories260K.gguf", gguf],
  ])("%s is the same from a file, from bytes and from a Blob", async (_, path) => {
    const bytes = new Uint8Array(readFileSync(path!));
    const file = await fileSource(path!);
    const opened = await Promise.all(
      [file, bytesSource(bytes), blobSource(new Blob([bytes]))].map(openCheckpoint),
    );
    for (const { config, tensors, readRows } of opened) {
      expect(config).toEqual(opened[0]!.config);
      const rows = await readRows(tensors.get("blk.3.ffn_up.weight")!, 100, 107);
      const { offset } = opened[0]!.tensors.get("blk.3.ffn_up.weight")!;
      expect(rows).toEqual(bytes.slice(offset + 100 * 64 * 4, offset + 107 * 64 * 4));
    }
    await file.close();
  });
});
