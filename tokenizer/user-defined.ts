import { idsOfType, type PieceList, pieceType } from "./piece-list.js";

/**
 * The user-defined symbols of a vocabulary, found at a place in a text by the longest that stands there. They are
 * passed through whole by the normalizer, and frozen for BPE.
 */
export interface UserDefined {
  /** Bytes of the longest symbol that begins at `at` in text[0, end), or 0. */
  longest(text: Uint8Array, at: number, end: number): number;
}

/**
 * Of symbols that begin one another SentencePiece 0.2.2 considers the 64 shortest that stand at a place (0.1.97 reads
 * past an array when there are more).
 */
const maxNested = 64;

/** Undefined where there are none, as in Llama 2. */
export function createUserDefined(pieces: PieceList): UserDefined | undefined {
  // A trie: the way from a node by a byte leads to the node `ways.get(node * 256 + byte)`. Node 0 is the root.
  const ways = new Map<number, number>();
  const ends: boolean[] = [false];
  const begins = new Uint8Array(256); // bytes that some symbol begins with: nearly every place is settled by this
  for (const id of idsOfType(pieces, pieceType.userDefined)) {
    const start = pieces.starts[id]!;
    begins[pieces.bytes[start]!] = 1;
    let node = 0;
    for (let i = start; i < pieces.ends[id]!; i++) {
      const way = node * 256 + pieces.bytes[i]!;
      let next = ways.get(way);
      if (next === undefined) {
        next = ends.length;
        ways.set(way, next);
        ends.push(false);
      }
      node = next;
    }
    ends[node] = true;
  }
  if (ways.size === 0) return undefined;

  return {
    longest(text, at, end) {
      if (begins[text[at]!] === 0) return 0;
      let found = 0;
      let nested = 0;
      let node: number | undefined = 0;
      for (let i = at; i < end; i++) {
        node = ways.get(node * 256 + text[i]!);
        if (node === undefined) break;
        if (!ends[node]) continue;
        found = i + 1 - at;
        if (++nested === maxNested) break;
      }
      return found;
    },
  };
}
