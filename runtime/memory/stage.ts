import { OutOfMemoryError } from "../errors.js";
import { instantiateKernels, type Kernels } from "./kernel-module.js";
import type { MatrixSlot, RegionSlot, StagePlan, TensorSlot } from "./plan.js";
import { Matrix, Tensor } from "./tensor.js";

/** What guard zones are filled with: a NaN as f32, and no likely result of a kernel. */
const GUARD = 0xffa5a5a5;

/**
 * One WebAssembly memory with an instance of the kernels in it. The memory has its final size from the start: views
 * of it stay valid, and an address that the plan gave is inside it.
 */
export class Stage {
  private constructor(
    readonly plan: StagePlan,
    readonly memory: WebAssembly.Memory,
    readonly kernels: Kernels,
    readonly bytes: Uint8Array<ArrayBuffer>,
  ) {}

  /** Throws OutOfMemoryError when the engine does not grant the memory. */
  static async create(plan: StagePlan, module: WebAssembly.Module): Promise<Stage> {
    const memory = allocate(plan.pages);
    const kernels = await instantiateKernels(module, memory);
    const stage = new Stage(plan, memory, kernels, new Uint8Array(memory.buffer));
    for (const guard of plan.guards) stage.words(guard).fill(GUARD);
    return stage;
  }

  tensor(slot: TensorSlot): Tensor {
    return new Tensor(this, slot.address, slot.shape);
  }

  matrix(slot: MatrixSlot): Matrix {
    return new Matrix(this, slot.address, slot.type, slot.rows, slot.cols);
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

function allocate(pages: number): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages });
  } catch (cause) {
    throw new OutOfMemoryError(
      `Cannot allocate a stage: expected ${pages * 65_536} bytes of memory, the engine refused`,
      {
        cause,
      },
    );
  }
}
