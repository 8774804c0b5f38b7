import { cannotOpen } from "../errors.js";
import { Merges } from "../merges.js";
import { isMatchable, type PieceList } from "../piece-list.js";

/** The merges of a tokenizer.json, "a b" or ["a", "b"], the first one the most urgent. */
export function readMerges(
  merges: readonly unknown[],
  ids: ReadonlyMap<string, number>,
  pieces: PieceList,
  name: string,
): Merges {
  const read = new Merges();
  merges.forEach((merge, rank) => {
    const parts: unknown[] = typeof merge === "string" ? merge.split(" ") : Array.isArray(merge) ? merge : [];
    const [left, right] = parts.map((part) => ids.get(String(part)));
    if (parts.length !== 2 || left === undefined || right === undefined) {
      throw cannotOpen(name, `merge ${rank}: expected two pieces, found ${JSON.stringify(merge)}`);
    }
    const merged = ids.get(parts.join(""));
    if (merged === undefined) {
      throw cannotOpen(name, `merge ${rank}: expected a piece "${parts.join("")}", found none`);
    }
    if (!isMatchable(pieces.types[left]!) || !isMatchable(pieces.types[right]!)) {
      throw cannotOpen(
        name,
        `merge ${rank}: expected pieces that text can become, found ${JSON.stringify(merge)}`,
      );
    }
    // a merge into a special token would let a text forge it; where none was asked for, text stays text
    if (isMatchable(pieces.types[merged]!)) read.add(left, right, rank);
  });
  return read;
}
