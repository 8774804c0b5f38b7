/**
 * RoPE turns pairs of a head's values. Meta's weights, llama2.c's and GGUF's llama files have the two of a pair side by side
 * (interleaved): rows 2i and 2i + 1 of q and k. Hugging Face's have them half a head apart (half-split): rows i and
 * i + headDim / 2. It is the same model with the rows of each head in another order:
 *
 *     interleaved   0  1  2  3  4  5  6  7
 *     half-split    0  4  1  5  2  6  3  7     (row of a head of 8)
 */
export interface RotatedRows {
  readonly headDim: number;
  /** Bytes of a row. */
  readonly stride: number;
  readonly begin: number;
  readonly end: number;
}

/**
 * Rows [begin, end) of q or k in the interleaved order, of a matrix whose rows lie in the half-split order. Each head takes two
 * reads, of its first and its second half.
 *
 * @param read rows [from, to) as they lie
 */
export async function readInterleaved(
  read: (from: number, to: number) => Promise<Uint8Array>,
  { headDim, stride, begin, end }: RotatedRows,
): Promise<Uint8Array> {
  const bytes = new Uint8Array((end - begin) * stride);
  for (let head = begin - (begin % headDim); head < end; head += headDim) {
    const from = Math.max(begin, head);
    const to = Math.min(end, head + headDim);
    const firstPair = (from - head) >> 1;
    const endPair = (to - head + 1) >> 1;
    const halves = [
      await read(head + firstPair, head + endPair),
      await read(head + headDim / 2 + firstPair, head + headDim / 2 + endPair),
    ];
    for (let row = from; row < to; row++) {
      const pair = ((row - head) >> 1) - firstPair;
      const half = halves[(row - head) & 1]!;
      bytes.set(half.subarray(pair * stride, (pair + 1) * stride), (row - begin) * stride);
    }
  }
  return bytes;
}
