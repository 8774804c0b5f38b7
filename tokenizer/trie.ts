import { cannotOpen } from "./errors.js";

/** Ways out of nodes that one look-up may have to pass at most: only a vocabulary made to collide comes near. */
const maxProbes = 1024;

/**
 * Strings of bytes, each with a number of its own, found by walking along a text:
 *
 *     for (let node = trie.root, i = at; i < end; i++) {
 *       node = trie.child(node, text[i]);
 *       if (node < 0) break;
 *       if (trie.values[node] >= 0) ...  // text[at..i] is one of the strings
 *     }
 *
 * The ways from node to node lie in one hash table, keyed by the node and the byte.
 */
export class Trie {
  readonly root = 0;
  /** For each node the number of the string that ends there, or -1. */
  values = new Int32Array(1 << 10).fill(-1);
  #nodes = 1;
  #keys = new Float64Array(1 << 11).fill(-1); // node * 256 + byte; -1 for an empty slot
  #targets = new Int32Array(1 << 11);
  #shift = 32 - 11;

  /** The node that a byte leads to, or -1. */
  child(node: number, byte: number): number {
    const key = node * 256 + byte;
    const mask = this.#keys.length - 1;
    for (let slot = slotOf(node, byte, this.#shift); ; slot = (slot + 1) & mask) {
      const found = this.#keys[slot]!;
      if (found === key) return this.#targets[slot]!;
      if (found < 0) return -1;
    }
  }

  /**
   * Adds bytes [start, end), whose number is 0 or more.
   *
   * @throws TokenizerError for strings made to collide in the hash table
   */
  add(bytes: Uint8Array, start: number, end: number, value: number, name: string): void {
    let node = this.root;
    for (let i = start; i < end; i++) {
      const next = this.child(node, bytes[i]!);
      if (next >= 0) node = next;
      else {
        this.#link(node, bytes[i]!, this.#nodes, name);
        node = this.#nodes++;
        if (node === this.values.length) this.#growValues();
      }
    }
    this.values[node] = value;
  }

  #link(node: number, byte: number, target: number, name: string): void {
    if (2 * this.#nodes >= this.#keys.length) this.#growTable(name);
    const mask = this.#keys.length - 1;
    let slot = slotOf(node, byte, this.#shift);
    for (let probes = 0; this.#keys[slot]! >= 0; slot = (slot + 1) & mask) {
      if (++probes === maxProbes) {
        throw cannotOpen(
          name,
          `pieces: expected at most ${maxProbes} that collide in the hash table, found more`,
        );
      }
    }
    this.#keys[slot] = node * 256 + byte;
    this.#targets[slot] = target;
  }

  #growTable(name: string): void {
    const keys = this.#keys;
    const targets = this.#targets;
    this.#keys = new Float64Array(2 * keys.length).fill(-1);
    this.#targets = new Int32Array(2 * keys.length);
    this.#shift--;
    for (let slot = 0; slot < keys.length; slot++) {
      const key = keys[slot]!;
      if (key >= 0) this.#link(Math.floor(key / 256), key % 256, targets[slot]!, name);
    }
  }

  #growValues(): void {
    const larger = new Int32Array(2 * this.values.length).fill(-1);
    larger.set(this.values);
    this.values = larger;
  }
}

function slotOf(node: number, byte: number, shift: number): number {
  const mixed = Math.imul(node, 0x85ebca6b) ^ Math.imul(byte + 1, 0xc2b2ae35);
  return Math.imul(mixed ^ (mixed >>> 15), 0x9e3779b1) >>> shift;
}
