import { ModelError, NumericError } from "../errors.js";
import type { Checkpoint, TensorInfo } from "../formats/checkpoint.js";
import { halfToNumber } from "../formats/floats.js";
import { rowBytes } from "../formats/tensor-types.js";
import type { KvCache } from "../memory/kv-cache.js";
import type { CacheSlot, LayerSlots, StagePlan, TensorSlot } from "../memory/plan.js";
import type { Stage } from "../memory/stage.js";
import type { Matrix, Tensor } from "../memory/tensor.js";
import { createProgress, type Progress } from "../progress.js";
import * as ops from "./ops.js";

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

export interface ReadOptions {
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Rows [begin, end) of a tensor on their way into memory; a vector is one row. */
interface Piece {
  readonly tensor: TensorInfo;
  readonly into: Tensor | Matrix;
  readonly begin: number;
  readonly end: number;
}

/**
 * Streams the checkpoint's weights into the stages, a few rows of a tensor at a time: while all threads pack one piece into place, the next one is
 * read. Never more than these two pieces are held beside the plan. Throws NumericError for an Inf or a NaN in the
 * weights, and rejects with the signal's reason when it is aborted.
 */
export async function readWeights(
  checkpoint: Checkpoint,
  stages: readonly Stage[],
  { onProgress, signal }: ReadOptions,
): Promise<void> {
  let total = 0;
  for (const tensor of checkpoint.tensors.values()) total += tensor.bytes;
  const report = createProgress("weights", total, onProgress);
  let loaded = 0;

  const pieces = stages.flatMap((stage) => stagePieces(checkpoint, stage));
  const read = ({ tensor, begin, end }: Piece) => checkpoint.readRows(tensor, begin, end);
  let reading = read(pieces[0]!);
  for (const [i, piece] of pieces.entries()) {
    const bytes = await reading;
    signal?.throwIfAborted();
    const next = pieces[i + 1];
    if (next) {
      reading = read(next);
      reading.catch(() => {}); // told when it is awaited, if nothing else fails before
    }
    place(checkpoint, piece, bytes);
    report(loaded + bytesUpTo(piece));
    if (next?.tensor !== piece.tensor) loaded += piece.tensor.bytes;
    signal?.throwIfAborted();
  }
}

/** Bytes of a tensor in the file up to the end of a piece. */
function bytesUpTo({ tensor, into, end }: Piece): number {
  return "cols" in into ? Math.floor((tensor.bytes * end) / into.rows) : tensor.bytes;
}

/** Everything that belongs into a stage, in the order in which it lies there. */
function stagePieces(checkpoint: Checkpoint, stage: Stage): Piece[] {
  const plan: StagePlan = stage.plan;
  const pieces: Piece[] = [];
  const add = (name: string, into: Tensor | Matrix) => {
    const tensor = checkpoint.tensors.get(name);
    if (!tensor) throw new ModelError(`Cannot load ${checkpoint.source.name}: it has no tensor ${name}`);
    const rows = "cols" in into ? into.rows : 1;
    const step =
      "cols" in into ? Math.floor(plan.staging.bytes / rowBytes(tensor.type, into.cols) / 8) * 8 : 1;
    for (let begin = 0; begin < rows; begin += step) {
      pieces.push({ tensor, into, begin, end: Math.min(begin + step, rows) });
    }
  };

  if (plan.embedding) add("token_embd.weight", stage.matrix(plan.embedding));
  for (const [i, slots] of plan.layers.entries()) {
    const layer = bindLayer(stage, slots);
    for (const [key, name] of Object.entries(layerNames)) {
      add(`blk.${plan.firstLayer + i}.${name}.weight`, layer[key as keyof typeof layerNames]);
    }
  }
  if (plan.outputNorm) add("output_norm.weight", stage.tensor(plan.outputNorm));
  if (plan.output && plan.output !== plan.embedding) add("output.weight", stage.matrix(plan.output));
  return pieces;
}

function place(checkpoint: Checkpoint, piece: Piece, bytes: Uint8Array): void {
  const bad =
    "cols" in piece.into ? packRows(piece, piece.into, bytes) : fillVector(piece, piece.into, bytes);
  if (bad < 0) return;
  throw new NumericError(
    `Cannot load ${checkpoint.source.name}: ${piece.tensor.name} holds an infinity or a NaN in row ${piece.begin + bad}; expected finite weights`,
  );
}

/** Returns the first row that holds an infinity or a NaN, counted from the piece's first, or -1. */
function packRows({ tensor, begin, end }: Piece, matrix: Matrix, bytes: Uint8Array): number {
  const { stage } = matrix;
  const { staging } = stage.plan;
  stage.bytes.set(bytes, staging.address);
  const bad = ops.pack(matrix, begin, end - begin, tensor.type, staging.address);
  stage.checkGuards(`packing ${tensor.name}`);
  return bad;
}

/** Vectors are few and short: packed as a matrix of one row they would take eight, so they are converted here. */
function fillVector({ tensor }: Piece, vector: Tensor, bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const out = vector.view();
  for (let i = 0; i < out.length; i++) {
    out[i] = readFloat(view, tensor, i);
    if (!Number.isFinite(out[i])) return 0;
  }
  return -1;
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
