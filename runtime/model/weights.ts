import { ModelError, NumericError } from "../errors.js";
import type { Checkpoint, TensorInfo } from "../formats/checkpoint.js";
import { rowBytes } from "../formats/tensor-types.js";
import type { KvCache } from "../memory/kv-cache.js";
import type { CacheSlot, LayerSlots, StagePlan, TensorSlot } from "../memory/plan.js";
import type { Stage } from "../memory/stage.js";
import type { Matrix, Tensor } from "../memory/tensor.js";

/** One transformer block, bound to its stage's memory. Shapes stand at LayerSlots. */
export type Layer = {
  readonly [K in keyof LayerSlots]: LayerSlots[K] extends TensorSlot
    ? Tensor
    : LayerSlots[K] extends CacheSlot
      ? KvCache
      : Matrix;
};

/** The tensor of the file behind each of a layer's weights; the rest of the name is ".weight". */
const layerNames = {
  attnNorm: "attn_norm",
  attnQ: "attn_q",
  attnK: "attn_k",
  attnV: "attn_v",
  attnOutput: "attn_output",
  ffnNorm: "ffn_norm",
  ffnGate: "ffn_gate",
  ffnUp: "ffn_up",
  ffnDown: "ffn_down",
} as const;

export function bindLayer(stage: Stage, slots: LayerSlots): Layer {
  return {
    attnNorm: stage.tensor(slots.attnNorm),
    attnQ: stage.matrix(slots.attnQ),
    attnK: stage.matrix(slots.attnK),
    attnV: stage.matrix(slots.attnV),
    attnOutput: stage.matrix(slots.attnOutput),
    ffnNorm: stage.tensor(slots.ffnNorm),
    ffnGate: stage.matrix(slots.ffnGate),
    ffnUp: stage.matrix(slots.ffnUp),
    ffnDown: stage.matrix(slots.ffnDown),
    keys: stage.cache(slots.keys),
    values: stage.cache(slots.values),
  };
}

export interface Progress {
  /** Bytes of weights read so far, and in all. */
  readonly loaded: number;
  readonly total: number;
  readonly phase: "weights";
}

export interface ReadOptions {
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Streams the checkpoint's weights into the stages: a few rows of a tensor at a time, which a kernel packs into place.
 * Never more than one stage's staging region is held beside the plan. Throws NumericError for an Inf or a NaN in the weights,
 * and rejects with the signal's reason when it is aborted.
 */
export async function readWeights(
  checkpoint: Checkpoint,
  stages: readonly Stage[],
  options: ReadOptions,
): Promise<void> {
  let total = 0;
  for (const tensor of checkpoint.tensors.values()) total += tensor.bytes;
  let loaded = 0;
  const read = async (name: string, into: Tensor | Matrix) => {
    const tensor = checkpoint.tensors.get(name);
    if (!tensor) throw new ModelError(`Cannot load ${checkpoint.source.name}: it has no tensor ${name}`);
    if ("cols" in into) await readMatrix(checkpoint, tensor, into, options.signal);
    else await readVector(checkpoint, tensor, into);
    loaded += tensor.bytes;
    options.onProgress?.({ loaded, total, phase: "weights" });
    options.signal?.throwIfAborted();
  };

  for (const stage of stages) {
    const plan: StagePlan = stage.plan;
    if (plan.embedding) await read("token_embd.weight", stage.matrix(plan.embedding));
    for (const [i, slots] of plan.layers.entries()) {
      const layer = bindLayer(stage, slots);
      for (const [key, name] of Object.entries(layerNames)) {
        await read(`blk.${plan.firstLayer + i}.${name}.weight`, layer[key as keyof typeof layerNames]);
      }
    }
    if (plan.outputNorm) await read("output_norm.weight", stage.tensor(plan.outputNorm));
    if (plan.output && plan.output !== plan.embedding) await read("output.weight", stage.matrix(plan.output));
  }
}

/** Rows are read in groups of 8, as many as the staging region holds, and packed one chunk after the other. */
async function readMatrix(
  checkpoint: Checkpoint,
  tensor: TensorInfo,
  matrix: Matrix,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { stage, rows, cols } = matrix;
  const { staging } = stage.plan;
  const bytes = rowBytes(tensor.type, cols);
  const chunk = Math.floor(staging.bytes / bytes / 8) * 8;
  const pack = stage.kernels[`pack_${tensor.type.toLowerCase() as Lowercase<typeof tensor.type>}`];
  for (let row = 0; row < rows; row += chunk) {
    const end = Math.min(row + chunk, rows);
    stage.bytes.set(await checkpoint.readRows(tensor, row, end), staging.address);
    signal?.throwIfAborted();
    const bad = pack(matrix.groupAddress(row), staging.address, end - row, cols);
    if (bad >= 0) throw new NumericError(notFinite(checkpoint, tensor, row + bad));
  }
  stage.checkGuards(`packing ${tensor.name}`);
}

/** Vectors are few and short: packed as a matrix of one row they would take eight, so they are converted here. */
async function readVector(checkpoint: Checkpoint, tensor: TensorInfo, vector: Tensor): Promise<void> {
  const bytes = await checkpoint.readRows(tensor, 0, 1);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const out = vector.view();
  for (let i = 0; i < out.length; i++) {
    out[i] = readFloat(view, tensor, i);
    if (!Number.isFinite(out[i])) throw new NumericError(notFinite(checkpoint, tensor, 0));
  }
}

function readFloat(view: DataView, tensor: TensorInfo, i: number): number {
  if (tensor.type === "F32") return view.getFloat32(i * 4, true);
  const bits = view.getUint16(i * 2, true);
  if (tensor.type === "F16") return halfToNumber(bits);
  if (tensor.type === "BF16") {
    const word = new DataView(new ArrayBuffer(4));
    word.setUint16(0, bits);
    return word.getFloat32(0);
  }
  throw new ModelError(`${tensor.name}: expected a vector of F32, F16 or BF16, found ${tensor.type}`);
}

/** IEEE 754 binary16: sign, 5 bits of exponent, 10 of fraction. */
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent ? sign * (1 + fraction / 1024) * 2 ** (exponent - 15) : sign * fraction * 2 ** -24;
}

function notFinite(checkpoint: Checkpoint, tensor: TensorInfo, row: number): string {
  return `Cannot load ${checkpoint.source.name}: ${tensor.name} holds an infinity or a NaN in row ${row}; expected finite weights`;
}
