import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { randomCheckpoint, smallConfig } from "../../test/random-model.js";
import { sharedData } from "../../test/shared-data.js";
import { checkpointToGguf, plainVocabulary } from "../../test/write-gguf.js";
import { FormatError, ModelError, UnsupportedError } from "../errors.js";
import { openGguf } from "./gguf.js";
import { openCheckpoint } from "./open.js";
import { bytesSource, fileSource } from "./source.js";

describe("openCheckpoint() of a small GGUF", () => {
  let file: Uint8Array;
  let headerBytes: number;
  let dataEnd: number;
  beforeAll(async () => {
    const config = smallConfig({ dim: 4, hiddenDim: 6, nHeads: 2, nKvHeads: 1, nLayers: 1, vocabSize: 14 });
    file = await checkpointToGguf(randomCheckpoint({ config, type: "F32", seed: 1 }), plainVocabulary(14));
    const { tensors } = await openGguf(bytesSource(file));
    headerBytes = Math.min(...[...tensors.values()].map(({ offset }) => offset));
    dataEnd = Math.max(...[...tensors.values()].map(({ offset, bytes }) => offset + bytes));
  });

  it("is a FormatError when it is cut, at whatever byte", async () => {
    for (let length = 0; length < dataEnd; length++) {
      const cut = openCheckpoint(bytesSource(file.subarray(0, length)));
      await expect(cut, `cut at ${length}`).rejects.toThrow(FormatError);
    }
  });

  it("opens when only padding after the last tensor is cut off, or bytes follow it", async () => {
    for (let length = dataEnd; length <= file.length; length++) {
      await openCheckpoint(bytesSource(file.subarray(0, length)));
    }
    const longer = new Uint8Array(file.length + 1000);
    longer.set(file);
    await openCheckpoint(bytesSource(longer));
  });

  it("opens, or gives one of our errors, whichever bits are flipped and wherever it is cut", async () => {
    const flip = fc.record({ at: fc.nat(headerBytes - 1), bit: fc.nat(7) });
    const number = fc.record({
      at: fc.nat(headerBytes - 8),
      value: fc.constantFrom(
        0n,
        1n,
        2n ** 31n,
        2n ** 32n - 1n,
        2n ** 40n,
        2n ** 53n,
        2n ** 63n,
        2n ** 64n - 1n,
      ),
    });
    const length = fc.oneof(
      { weight: 4, arbitrary: fc.constant(undefined) },
      { weight: 1, arbitrary: fc.nat(file.length) },
    );
    const damage = fc.tuple(fc.array(flip, { maxLength: 6 }), fc.array(number, { maxLength: 2 }), length);
    await fc.assert(
      fc.asyncProperty(damage, async ([flips, numbers, cut]) => {
        const bytes = file.slice();
        const view = new DataView(bytes.buffer);
        for (const { at, bit } of flips) bytes[at]! ^= 1 << bit;
        for (const { at, value } of numbers) view.setBigUint64(at, value, true);
        try {
          const checkpoint = await openCheckpoint(bytesSource(bytes.subarray(0, cut)));
          for (const tensor of checkpoint.tensors.values()) await checkpoint.readRows(tensor, 0, 1);
        } catch (error) {
          const ours = [FormatError, ModelError, UnsupportedError].some((kind) => error instanceof kind);
          if (!ours) throw error;
        }
      }),
      { numRuns: 3000 },
    );
  });
});

const badFiles = sharedData("bad/badgguf");

describe.skipIf(!badFiles)(
  "openGguf() of files that are broken on purpose (skipped without ../shared)",
  () => {
    /** Where our verdict on a file is not llama.cpp's, and why. */
    const differences: Record<string, string> = {
      arr_of_arr: "accepted: the specification has arrays of arrays; llama.cpp does not read them",
      t_name_long: "accepted: the specification allows 64 bytes; llama.cpp keeps one for a final NUL",
      t_off_reorder:
        "accepted: the data is complete and without overlap; llama.cpp wants the directory's order",
      key_bad_utf8: "refused: keys are UTF-8 by the specification; gguf-py refuses it, too",
      bool_2: "refused: by the specification only 0 and 1 are bools",
      t_name_empty: "refused: a tensor without a name can be of no use",
      t_ndims_0: "refused: so can one without dimensions",
      t_dim_0: "refused: and one without weights",
      t_dims_overflow: "refused: 2^32 x 2^32 weights, which llama.cpp multiplies to 0; gguf-py refuses it",
      t_i8_intmax_x2: "refused: a size that overflows; gguf-py refuses it",
      t_q4_wrap: "refused: a size that overflows; gguf-py refuses it",
    };

    interface Verdict {
      readonly fmt: string;
      readonly case: string;
      readonly "llama.cpp": string;
    }
    const verdicts = badFiles
      ? readFileSync(sharedData("bad/badfiles.jsonl")!, "utf8")
          .trim()
          .split("\n")
          .map((line): Verdict => JSON.parse(line))
          .filter(({ fmt }) => fmt === "gguf")
      : [];

    it("covers every file", () => {
      expect(verdicts.map((verdict) => `${verdict.case}.gguf`).sort()).toEqual(readdirSync(badFiles!).sort());
    });

    it.each(verdicts)("$case: llama.cpp's verdict, or ours with a reason", async (verdict) => {
      const llamaCppAccepts = verdict["llama.cpp"].startsWith("OK");
      const weAccept = verdict.case in differences ? !llamaCppAccepts : llamaCppAccepts;
      const source = await fileSource(`${badFiles}/${verdict.case}.gguf`);
      const memory = () => process.memoryUsage().heapUsed + process.memoryUsage().external;
      const memoryBefore = memory();
      const started = performance.now();
      try {
        const opened = await openGguf(source).catch((error: unknown) => error);
        expect(performance.now() - started).toBeLessThan(5000);
        expect(memory() - memoryBefore).toBeLessThan(32 << 20);

        if (weAccept) expect(opened).toHaveProperty("tensors");
        else expect([FormatError, UnsupportedError].some((kind) => opened instanceof kind)).toBe(true);
        if (!weAccept) expect((opened as Error).message).toMatch(/^Cannot read .*: .{10}/);

        // none of them is a model, and that is said, too
        const error = await openCheckpoint(source).catch((reason: unknown) => reason);
        expect([FormatError, UnsupportedError, ModelError].some((kind) => error instanceof kind)).toBe(true);
      } finally {
        await source.close();
      }
    });
  },
);
