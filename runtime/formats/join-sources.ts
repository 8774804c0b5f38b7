import type { Source } from "./source.js";

/** The bytes of several sources, one after the other, as one. */
export function joinSources(parts: readonly Source[], name: string): Source {
  const starts: number[] = [];
  let size = 0;
  for (const part of parts) {
    starts.push(size);
    size += part.size;
  }
  return {
    name,
    size,
    async read(start, end, into) {
      const pieces: Uint8Array[] = [];
      for (const [i, part] of parts.entries()) {
        const from = Math.max(start - starts[i]!, 0);
        const to = Math.min(end - starts[i]!, part.size);
        if (from < to) pieces.push(await part.read(from, to, to - from === end - start ? into : undefined));
      }
      return pieces.length === 1 ? pieces[0]! : concatenated(pieces);
    },
    async close() {
      await Promise.all(parts.map((part) => part.close()));
    },
  };
}

/** The bytes of all, one after the other. */
export function concatenated(pieces: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
