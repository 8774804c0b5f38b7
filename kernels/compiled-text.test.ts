// What the compiled text of the shipped builds must and must not hold.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

/** Those of the relaxed instructions whose results are exact as they are used. */
const relaxedInstructions: Record<string, readonly string[]> = {
  simd: [],
  relaxed: ["i32x4.relaxed_dot_i8x16_i7x16_add_s"],
  relaxed16: ["i16x8.relaxed_dot_i8x16_i7x16_s"],
};

describe.each(Object.entries(relaxedInstructions))("%s build", (build, instructions) => {
  const text = readFileSync(new URL(`./generated/${build}.wat`, import.meta.url), "utf8");
  const functions = new Map(
    text
      .split(/\n \(func \$/)
      .slice(1)
      .map((body) => [body.slice(0, body.search(/\s/)), body] as const),
  );

  it("makes no call inside an innermost loop", () => {
    expect(functions.size).toBeGreaterThan(25);
    for (const [name, body] of functions) {
      // attend goes from query to query and calls its steps, whose loops are the hot ones
      if (name.startsWith("kernels/attention/attend<")) continue;
      expect(callsInInnermostLoops(body), name).toEqual([]);
    }
  });

  it("keeps no data, no mutable global and no import but the memory", () => {
    expect(text).not.toMatch(/\(data /);
    expect(text).not.toMatch(/\(global [^\n]*\(mut /);
    expect(text.match(/\(import [^\n]*/g)).toEqual(['(import "env" "memory" (memory $0 1 65536 shared))']);
  });

  it(`uses ${instructions[0] ?? "no relaxed instruction"}${instructions.length ? ", and no other relaxed instruction" : ""}`, () => {
    const used = new Set(text.match(/\brelaxed_\w+|\w+\.relaxed_\w+/g));
    expect([...used]).toEqual(instructions);
  });
});

/** The calls in loops that hold no further loop, in the stack form of the text, where every block closes with `end`. */
function callsInInnermostLoops(body: string): string[] {
  const found: string[] = [];
  const open: { loop: boolean; holdsLoop: boolean; calls: string[] }[] = [];
  for (const line of body.split("\n").map((text) => text.trim())) {
    if (/^(block|if|loop)\b/.test(line)) {
      const loop = line.startsWith("loop");
      if (loop) for (const outer of open) outer.holdsLoop = true;
      open.push({ loop, holdsLoop: false, calls: [] });
    } else if (/^call\b/.test(line)) {
      open.findLast((block) => block.loop)?.calls.push(line);
    } else if (line === "end") {
      const closed = open.pop()!;
      if (closed.loop && !closed.holdsLoop) found.push(...closed.calls);
    }
  }
  return found;
}
