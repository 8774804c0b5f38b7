/** What `pop` gives when nothing is left: greater than all keys. */
export const noKey = Number.POSITIVE_INFINITY;

const keptKeys = 1 << 12;

/** A priority queue of numbers, the least first: a binary heap in one array. */
export class MergeQueue {
  #heap = new Float64Array(256);
  #length = 0;

  push(key: number): void {
    if (this.#length === this.#heap.length) {
      const larger = new Float64Array(2 * this.#length);
      larger.set(this.#heap);
      this.#heap = larger;
    }
    const heap = this.#heap;
    let at = this.#length++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent]! <= key) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = key;
  }

  /** Takes the least key out; `noKey` when the queue is empty. */
  pop(): number {
    if (this.#length === 0) {
      // the memory of a long word is given back
      if (this.#heap.length > keptKeys) this.#heap = new Float64Array(256);
      return noKey;
    }
    const heap = this.#heap;
    const least = heap[0]!;
    const length = --this.#length;
    const last = heap[length]!;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= length) break;
      if (child + 1 < length && heap[child + 1]! < heap[child]!) child++;
      if (heap[child]! >= last) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return least;
  }
}
