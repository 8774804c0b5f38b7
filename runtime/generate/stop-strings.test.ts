import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createStopMatcher } from "./stop-strings.js";

/** What comes out for each piece, and at the end. */
function read(stops: readonly string[], pieces: readonly string[]) {
  const matcher = createStopMatcher(stops);
  const shown = pieces.map((piece) => matcher.push(piece));
  return { shown: [...shown, matcher.end()], found: matcher.found };
}

/** The definition: the stop string that is complete first, of those the longest. */
function firstStop(stops: readonly string[], text: string): { before: string; found: string | undefined } {
  for (let end = 1; end <= text.length; end++) {
    const found = stops
      .filter((stop) => text.slice(0, end).endsWith(stop))
      .sort((a, b) => b.length - a.length)[0];
    if (found) return { before: text.slice(0, end - found.length), found };
  }
  return { before: text, found: undefined };
}

describe("a stop matcher", () => {
  it("stops before a stop string, wherever the pieces are cut", () => {
    expect(read(["\nUser:"], ["Hello", "\n", "Us", "er", ": more", "text"])).toEqual({
      shown: ["Hello", "", "", "", "", "", ""],
      found: "\nUser:",
    });
    expect(read(["b"], ["abc"])).toEqual({ shown: ["a", ""], found: "b" });
  });

  it("shows what it held back as soon as it can't be a stop string any more", () => {
    expect(read(["###"], ["a#", "#b", "##"])).toEqual({ shown: ["a", "##b", "", "##"], found: undefined });
    expect(read(["aab"], ["a", "a", "a", "b"])).toEqual({ shown: ["", "", "a", "", ""], found: "aab" });
  });

  it("takes the one that is complete first, and of several the longest", () => {
    expect(read(["abcd", "bc"], ["abcd"])).toEqual({ shown: ["a", ""], found: "bc" });
    expect(read(["b", "ab"], ["xab"])).toEqual({ shown: ["x", ""], found: "ab" });
  });

  it("lets text through at once where there are no stop strings", () => {
    expect(read([], ["a", "b"])).toEqual({ shown: ["a", "b", ""], found: undefined });
  });

  it("agrees with its definition, never shows a part of a stop string, and holds back no more than one may begin with", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "b", "😀", "\n"), maxLength: 12 });
    const stop = fc.string({ unit: fc.constantFrom("a", "b", "😀", "\n"), minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(fc.array(stop, { maxLength: 4 }), fc.array(text, { maxLength: 8 }), (stops, pieces) => {
        const { before, found } = firstStop(stops, pieces.join(""));
        const matcher = createStopMatcher(stops);
        let shown = "";
        let read = "";
        for (const piece of pieces) {
          read += piece;
          shown += matcher.push(piece);
          expect(before.startsWith(shown)).toBe(true);
          if (matcher.found !== undefined) break;
          const held = read.slice(shown.length);
          expect(held === "" || stops.some((one) => one.startsWith(held))).toBe(true);
        }
        expect(matcher.found).toBe(found);
        expect(shown + matcher.end()).toBe(before);
      }),
      { numRuns: 1000 },
    );
  });

  it("takes linear time over stop strings made to be slow", () => {
    const began = performance.now();
    const stops = [`${"a".repeat(50_000)}b`, `${"ab".repeat(20_000)}c`, `c${"a".repeat(50_000)}d`];
    const matcher = createStopMatcher(stops);
    const pieces = 40;
    let shown = 0;
    for (let i = 0; i < pieces; i++) shown += matcher.push("a".repeat(20_000)).length;
    shown += matcher.end().length;
    expect(shown).toBe(pieces * 20_000);
    expect(performance.now() - began).toBeLessThan(5000); // looking for each at each place would take minutes
  });
});
