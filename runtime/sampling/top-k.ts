import { nonFiniteLogit } from "./non-finite-logit.js";

/**
 * The ids of the k largest logits, best first: the higher logit, and among equal ones the lower id.
 *
 *   logits  f32[vocabSize]
 *   ids     u32[at least k], scratch: its first k elements are the result
 *
 * One pass with a heap of the k best so far, the worst of them at its root: nearly every logit is turned away by one
 * comparison. Throws a NumericError when a logit is NaN or infinite.
 */
export function topK(logits: Float32Array, k: number, ids: Uint32Array): Uint32Array {
  const heap = ids.subarray(0, Math.min(k, logits.length));
  const size = heap.length;

  for (let id = 0; id < size; id++) {
    if (!Number.isFinite(logits[id]!)) throw nonFiniteLogit(id, logits[id]!);
    heap[id] = id;
  }
  for (let node = (size >> 1) - 1; node >= 0; node--) siftDown(logits, heap, node, size);

  for (let id = size; id < logits.length; id++) {
    const logit = logits[id]!;
    if (!Number.isFinite(logit)) throw nonFiniteLogit(id, logit);
    // Not >=: ids ascend, so that of equal logits the one already kept has the lower id.
    if (logit > logits[heap[0]!]!) {
      heap[0] = id;
      siftDown(logits, heap, 0, size);
    }
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
