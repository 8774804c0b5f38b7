/**
 * The candidates with the k largest logits, best first: the higher logit, and among equal ones the lower id.
 *
 *   logits  f32[vocabSize]
 *   ids     u32[n], the candidates
 *   k       >= 1; all of them where they are fewer
 *
 * One pass with a heap of the k best so far, the worst of them at its root: nearly every logit is turned away by one
 * comparison.
 */
export function topK(logits: Float32Array, ids: Uint32Array, k: number): Uint32Array {
  const heap = ids.subarray(0, k);
  const size = heap.length;
  for (let node = (size >> 1) - 1; node >= 0; node--) siftDown(logits, heap, node, size);

  let worst = logits[heap[0]!]!;
  for (let i = size; i < ids.length; i++) {
    const id = ids[i]!;
    if (logits[id]! < worst || isWorse(logits, id, heap[0]!)) continue;
    heap[0] = id;
    siftDown(logits, heap, 0, size);
    worst = logits[heap[0]!]!;
  }

  // Heapsort: the worst goes to the end, the worst of the rest before it, and so on.
  for (let end = size - 1; end > 0; end--) {
    const worst = heap[0]!;
    heap[0] = heap[end]!;
    heap[end] = worst;
    siftDown(logits, heap, 0, end);
  }
  return heap;
}

/** Moves the id at `node` down until no child is worse than it, in the heap that is the first `size` elements. */
function siftDown(logits: Float32Array, heap: Uint32Array, node: number, size: number): void {
  const id = heap[node]!;
  let hole = node;
  for (let child = 2 * hole + 1; child < size; child = 2 * hole + 1) {
    if (child + 1 < size && isWorse(logits, heap[child + 1]!, heap[child]!)) child++;
    if (!isWorse(logits, heap[child]!, id)) break;
    heap[hole] = heap[child]!;
    hole = child;
  }
  heap[hole] = id;
}

function isWorse(logits: Float32Array, a: number, b: number): boolean {
  return logits[a]! < logits[b]! || (logits[a]! === logits[b]! && a > b);
}
