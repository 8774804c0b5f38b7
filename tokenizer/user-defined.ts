import { idsOfType, type PieceList, pieceType } from "./piece-list.js";
import { Trie } from "./trie.js";

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
export function createUserDefined(pieces: PieceList, name: string): UserDefined | undefined {
  const ids = idsOfType(pieces, pieceType.userDefined);
  if (ids.length === 0) return undefined;
  const trie = new Trie();
  const begins = new Uint8Array(256); // bytes that some symbol begins with: nearly every place is settled by this
  for (const id of ids) {
    begins[pieces.bytes[pieces.starts[id]!]!] = 1;
    trie.add(pieces.bytes, pieces.starts[id]!, pieces.ends[id]!, id, name);
  }

  return {
    longest(text, at, end) {
      if (begins[text[at]!] === 0) return 0;
      let found = 0;
      let nested = 0;
      let node = trie.root;
      for (let i = at; i < end; i++) {
        node = trie.child(node, text[i]!);
        if (node < 0) break;
        if (trie.values[node]! < 0) continue;
        found = i + 1 - at;
        if (++nested === maxNested) break;
      }
      return found;
    },
  };
}
