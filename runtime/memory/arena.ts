import type { RegionSlot, TensorSlot } from "./slots.js";

/** Slots start at cache lines. */
const ALIGNMENT = 64;

/** What bytes of a memory are for. */
export interface ByteCounts {
  readonly weights: number;
  readonly cache: number;
  readonly scratch: number;
}

/** Gives out the addresses of a memory, one slot after the other. Nothing is allocated. */
export class Arena {
  readonly bytes: { -readonly [Kind in keyof ByteCounts]: number } = { weights: 0, cache: 0, scratch: 0 };
  /** A zone after each slot, where they were asked for. */
  readonly guards: RegionSlot[] = [];
  readonly #guardBytes: number;

  /** The first slot begins at `end`, the next ones where the last one ends. `guardBytes` is a multiple of 64. */
  constructor(
    public end: number,
    guardBytes: number,
  ) {
    this.#guardBytes = guardBytes;
  }

  reserve(kind: keyof ByteCounts, size: number): number {
    const address = this.end;
    this.end = Math.ceil((address + size) / ALIGNMENT) * ALIGNMENT;
    this.bytes[kind] += this.end - address;
    if (this.#guardBytes) {
      this.guards.push({ address: address + size, bytes: this.end - address - size + this.#guardBytes });
      this.end += this.#guardBytes;
    }
    return address;
  }

  region(kind: keyof ByteCounts, bytes: number): RegionSlot {
    return { address: this.reserve(kind, bytes), bytes };
  }

  /** An f32 tensor. */
  tensor(kind: keyof ByteCounts, ...shape: number[]): TensorSlot {
    return {
      address: this.reserve(
        kind,
        shape.reduce((bytes, size) => bytes * size, 4),
      ),
      shape,
    };
  }
}
