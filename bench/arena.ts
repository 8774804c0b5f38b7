import { rowBytes, type TensorType, tensorTypes } from "../runtime/formats/tensor-types.js";
import type { Kernels } from "../runtime/memory/kernel-module.js";
import { encodedBytes, packedBytes, type WeightType } from "../runtime/memory/tensor.js";
import { createRandom } from "../runtime/sampling/random.js";

/** A part of the arena. */
export interface Region {
  readonly address: number;
  readonly bytes: number;
}

export type FileType = Lowercase<TensorType>;

/** Where a block has its half floats; the other bytes of a quantized type may hold anything. */
const scalesAt: Partial<Record<FileType, readonly number[]>> = {
  q4_k: [0, 2],
  q5_k: [0, 2],
  q6_k: [208],
  q3_k: [108],
  q4_1: [0, 2],
  q5_1: [0, 2],
  q2_k: [80, 82],
};

/** Bytes that a file has for these rows. */
export function fileBytes(type: FileType, rows: number, cols: number): number {
  return rows * rowBytes(type.toUpperCase() as TensorType, cols);
}

const FIRST_PAGE = 65_536;
const ALIGNMENT = 64;
/** Rows that are made up; a larger matrix repeats them. No kernel's time depends on the values. */
const DISTINCT_ROWS = 64;

/** One memory that all builds of the kernels work in, handed out from the front and taken back at once. */
export class Arena {
  readonly memory: WebAssembly.Memory;
  #next = FIRST_PAGE;
  #random = createRandom(1);

  constructor(bytes: number) {
    const pages = Math.ceil((bytes + FIRST_PAGE) / 65_536);
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  }

  /** Forgets every region, and begins the numbers anew. */
  reset(): void {
    this.#next = FIRST_PAGE;
    this.#random = createRandom(1);
  }

  /** A region of zeros. */
  room(bytes: number): Region {
    const address = this.#next;
    this.#next = Math.ceil((address + bytes) / ALIGNMENT) * ALIGNMENT;
    if (this.#next > this.memory.buffer.byteLength) {
      throw new RangeError(`the arena is full: ${this.#next} of ${this.memory.buffer.byteLength} bytes`);
    }
    this.bytes({ address, bytes }).fill(0);
    return { address, bytes };
  }

  /** Floats between -1 and 1. */
  floats(count: number): Region {
    const region = this.room(count * 4);
    const view = new Float32Array(this.memory.buffer, region.address, count);
    for (let i = 0; i < count; i++) view[i] = 2 * this.#random() - 1;
    return region;
  }

  bytes({ address, bytes }: Region): Uint8Array {
    return new Uint8Array(this.memory.buffer, address, bytes);
  }

  words({ address, bytes }: Region): Uint32Array {
    return new Uint32Array(this.memory.buffer, address, Math.floor(bytes / 4));
  }

  copyOf(region: Region): Region {
    const copy = this.room(region.bytes);
    this.bytes(copy).set(this.bytes(region));
    return copy;
  }

  /** Rows as a file holds them. */
  fileRows(type: FileType, rows: number, cols: number): Region {
    const { blockBytes } = tensorTypes[type.toUpperCase() as TensorType];
    const region = this.room(fileBytes(type, rows, cols));
    const view = new DataView(this.memory.buffer, region.address, region.bytes);
    for (let at = 0; at < region.bytes; at += blockBytes) {
      if (type === "f32") view.setFloat32(at, 2 * this.#random() - 1, true);
      else if (type === "bf16") view.setUint16(at, this.#bits(0x3f00, 0x8000 | 0xff), true);
      else if (type === "f16") view.setUint16(at, this.#bits(0x3800, 0x8000 | 0x3ff), true);
      else {
        for (let i = 0; i < blockBytes; i += 2) view.setUint16(at + i, this.#bits(0, 0xffff), true);
        // a scale of about 1/256
        for (const i of scalesAt[type] ?? [0]) view.setUint16(at + i, this.#bits(0x1c00, 0x3ff), true);
      }
    }
    return region;
  }

  /** `ones`, and each bit of `mask` by chance. */
  #bits(ones: number, mask: number): number {
    return ones | (Math.floor(this.#random() * 65_536) & mask);
  }

  /** A packed matrix, by the kernels' own packing. */
  weights(kernels: Kernels, type: WeightType, rows: number, cols: number): Region {
    const packed = this.room(packedBytes(type, rows, cols));
    const distinct = Math.min(rows, DISTINCT_ROWS);
    const source = this.fileRows(type, distinct, cols);
    kernels[`pack_${type}`](packed.address, source.address, distinct, cols);
    const view = this.bytes(packed);
    for (let filled = packedBytes(type, distinct, cols); filled < view.length; filled *= 2) {
      view.copyWithin(filled, 0, Math.min(filled, view.length - filled));
    }
    return packed;
  }

  /** Room for the encoded activations of some positions. */
  encoded(type: WeightType, positions: number, cols: number): Region {
    return this.room(positions * encodedBytes(type, cols));
  }
}
