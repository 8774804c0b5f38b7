import { describe, expect, it } from "vitest";
import { type Result, ratiosTable } from "./ratios-table.js";
import type { Line, Row } from "./rows.js";

const row = (lines: readonly Line[]): Row => ({
  name: "row",
  model: { shape: "7b", type: "Q4_0" },
  rounds: 3,
  contestants: [],
  lines,
});

/** Results of a contestant in rounds 0, 1, ... */
const results = (contestant: string, ...rounds: Record<string, number>[]): Result[] =>
  rounds.map((values, round) => ({
    row: "row",
    round,
    contestant,
    measured: { engine: `engine ${contestant}`, values },
  }));

/** Cells of the lines below the header and its rule. */
const body = (lines: readonly Line[], found: readonly Result[]): string[][] =>
  ratiosTable([row(lines)], found)
    .trimEnd()
    .split("\n")
    .slice(2)
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );

const line = (changes: Partial<Line> = {}): Line => ({
  what: "7b, tg16",
  of: "ours",
  quantity: "tg16",
  ...changes,
});

describe("ratiosTable()", () => {
  it("gives the median of the rounds' ratios, to the better of the peers by their medians", () => {
    const found = [
      ...results("ours", { tg16: 10 }, { tg16: 20 }, { tg16: 3 }),
      ...results("a", { tg16: 5 }, { tg16: 20 }, { tg16: 2 }), // median 5
      ...results("b", { tg16: 4 }, { tg16: 4 }, { tg16: 400 }), // median 4
    ];
    const against = [
      { id: "b", quantity: "tg16" },
      { id: "a", quantity: "tg16" },
    ];
    // ratios 2, 1 and 1.5, where the ratio of the medians would be 2
    expect(body([line({ against })], found)).toEqual([
      ["7b, tg16", "engine ours", "10.0", "engine a", "5.00", "1.50 x", "", "3"],
    ]);
  });

  it("compares within rounds only: one without the peer does not count", () => {
    const found = [
      ...results("ours", { tg16: 10 }, { tg16: 90 }, { tg16: 10 }),
      ...results("a", { tg16: 5 }),
    ];
    const [cells] = body([line({ against: [{ id: "a", quantity: "tg16" }] })], found);
    expect(cells).toEqual(["7b, tg16", "engine ours", "10.0", "engine a", "5.00", "2.00 x", "", "3"]);
  });

  it("holds the bytes that a test reads against the read loop of the same rounds", () => {
    const found = [
      ...results("ours", { tg16: 10, "GB/s tg16": 8 }, { tg16: 10, "GB/s tg16": 4 }),
      ...results("loop", { "GB/s": 10 }, { "GB/s": 5 }),
    ];
    expect(body([line({ reading: "loop" })], found)[0]!.slice(3)).toEqual(["", "", "", "80 %", "2"]);
  });

  it("names the other quantity where that is what a line is against", () => {
    const found = [...results("ours", { deep: 6 }), ...results("flat", { tg16: 10 })];
    const against = [{ id: "flat", quantity: "tg16" }];
    const [cells] = body([line({ quantity: "deep", against })], found);
    expect(cells!.slice(3, 6)).toEqual(["engine flat, tg16", "10.0", "0.60 x"]);
  });

  it("leaves out lines that nothing is measured of", () => {
    expect(body([line()], [])).toEqual([]);
    const found = results("ours", { tg16: 1234 });
    expect(body([line(), line({ of: "another" })], found)).toEqual([
      ["7b, tg16", "engine ours", "1234", "", "", "", "", "1"],
    ]);
  });
});
