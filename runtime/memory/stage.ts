import { OutOfMemoryError } from "../errors.js";
import { grouped } from "../formats/byte-cursor.js";
import { availableMemory } from "./available-memory.js";
import { bindJobs, type JobFunction, MAX_JOB_ARGS } from "./jobs.js";
import { instantiateKernels, type Kernels } from "./kernel-module.js";
import { KvCache } from "./kv-cache.js";
import {
  type CacheSlot,
  type MatrixSlot,
  PAGE_BYTES,
  type RegionSlot,
  type StagePlan,
  type TensorSlot,
} from "./slots.js";
import { Matrix, Tensor } from "./tensor.js";

/** What guard zones are filled with: a NaN as f32, and no likely result of a kernel. */
const GUARD = 0xffa5a5a5;

/** Threads that compute a job together. Implemented in pool/. */
export interface Crew {
  /** How many, with the caller. */
  readonly threads: number;
  /**
   * Computes all units of a job in a stage's memory, `chunk` of them at a time. Returns when they are done: the first unit that was refused, or
   * a number below 0.
   */
  run(stage: number, job: number, units: number, chunk: number, args: readonly number[]): number;
}

/**
 * One WebAssembly memory with an instance of the kernels in it. The memory has its final size from the start: views
 * of it stay valid, and an address that the plan gave is inside it.
 */
export class Stage {
  readonly bytes: Uint8Array;
  readonly #jobs: readonly JobFunction[];
  readonly #args = new Float64Array(MAX_JOB_ARGS);

  private constructor(
    readonly plan: StagePlan,
    readonly memory: WebAssembly.Memory,
    readonly kernels: Kernels,
    private readonly number: number,
    private readonly crew: Crew | undefined,
    private readonly interrupt: (() => void) | undefined,
  ) {
    this.bytes = new Uint8Array(memory.buffer);
    this.#jobs = bindJobs(kernels);
    for (const guard of plan.guards) this.words(guard).fill(GUARD);
  }

  /**
   * `memory` as allocateStages made it, `number` the stage's among the crew's. Without a crew all is computed here. `interrupt` is called
   * before each job, and throws when no more are to follow.
   */
  static async create(
    plan: StagePlan,
    memory: WebAssembly.Memory,
    module: WebAssembly.Module,
    number: number,
    crew?: Crew,
    interrupt?: () => void,
  ): Promise<Stage> {
    return new Stage(plan, memory, await instantiateKernels(module, memory), number, crew, interrupt);
  }

  get threads(): number {
    return this.crew?.threads ?? 1;
  }

  /** Computes all units of a job, shared with the crew where they are more than a chunk. Returns the first unit that was refused, or ALL. */
  run(job: number, units: number, chunk: number, args: readonly number[]): number {
    this.interrupt?.();
    if (this.crew && units > chunk) return this.crew.run(this.number, job, units, chunk, args);
    for (let i = 0; i < args.length; i++) this.#args[i] = args[i]!;
    return this.#jobs[job]!(this.#args, 0, units, 0);
  }

  tensor(slot: TensorSlot): Tensor {
    return new Tensor(this, slot.address, slot.shape);
  }

  matrix(slot: MatrixSlot): Matrix {
    return new Matrix(this, slot.address, slot.type, slot.rows, slot.cols);
  }

  cache(slot: CacheSlot): KvCache {
    return new KvCache(this, slot.address, slot.type, slot.heads, slot.contextLength, slot.headDim);
  }

  /** Throws when a kernel has written past one of its outputs. Plans without guard zones have nothing to check. */
  checkGuards(operation: string): void {
    for (const guard of this.plan.guards) {
      const touched = this.words(guard).findIndex((word) => word !== GUARD);
      if (touched >= 0) {
        throw new Error(
          `${operation} wrote into the guard zone at ${guard.address}, ${touched * 4} bytes in`,
        );
      }
    }
  }

  private words(guard: RegionSlot): Uint32Array {
    return new Uint32Array(
      this.memory.buffer,
      Math.ceil(guard.address / 4) * 4,
      Math.floor(guard.bytes / 4) - 1,
    );
  }
}

/**
 * The memories of a model's stages. Throws OutOfMemoryError when the engine does not grant one of them: those that it has granted are then
 * reachable by nobody.
 */
export function allocateStages(plans: readonly StagePlan[], shared: boolean): WebAssembly.Memory[] {
  const memories: WebAssembly.Memory[] = [];
  let granted = 0;
  for (const { pages } of plans) {
    try {
      memories.push(new WebAssembly.Memory({ initial: pages, maximum: pages, shared }));
    } catch (cause) {
      const stage = `stage ${memories.length + 1} of ${plans.length}`;
      const available = availableMemory();
      const told = available === undefined ? "" : `; the machine has ${grouped(available)} available`;
      throw new OutOfMemoryError(
        `Cannot allocate ${stage}: expected ${grouped(pages * PAGE_BYTES)} bytes of memory, the engine refused; ${grouped(granted)} were granted before${told}`,
        { cause },
      );
    }
    granted += pages * PAGE_BYTES;
  }
  return memories;
}
