/**
 * A priority queue of hypotheses, the one with the greatest estimate first. Those that tie come in the order in which
 * libstdc++'s push_heap and pop_heap leave them: SentencePiece's n-best lists show that order.
 */
export class AgendaHeap {
  readonly #estimates: readonly number[];
  readonly #heap: number[] = [];

  /** @param estimates of each hypothesis; grows while the queue is in use */
  constructor(estimates: readonly number[]) {
    this.#estimates = estimates;
  }

  get length(): number {
    return this.#heap.length;
  }

  push(hypothesis: number): void {
    this.#heap.push(hypothesis);
    this.#rise(this.#heap.length - 1, hypothesis);
  }

  /** Takes the best out of a queue that is not empty. */
  pop(): number {
    const heap = this.#heap;
    const best = heap[0]!;
    const moved = heap.pop()!;
    if (heap.length === 0) return best;
    // the gap sinks to a leaf, past the greater child (the right one among equals); the moved one rises from there
    let gap = 0;
    for (;;) {
      const right = 2 * gap + 2;
      const left = right - 1;
      if (left >= heap.length) break;
      const child =
        right >= heap.length || this.#estimates[heap[right]!]! < this.#estimates[heap[left]!]! ? left : right;
      heap[gap] = heap[child]!;
      gap = child;
    }
    this.#rise(gap, moved);
    return best;
  }

  #rise(gap: number, hypothesis: number): void {
    const heap = this.#heap;
    const estimate = this.#estimates[hypothesis]!;
    while (gap > 0) {
      const parent = (gap - 1) >> 1;
      if (!(this.#estimates[heap[parent]!]! < estimate)) break;
      heap[gap] = heap[parent]!;
      gap = parent;
    }
    heap[gap] = hypothesis;
  }
}
