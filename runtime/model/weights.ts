import { ModelError, NumericError } from "../errors.js";
import type { Checkpoint, TensorInfo } from "../formats/checkpoint.js";
import { halfToNumber } from "../formats/floats.js";
import { rowBytes } from "../formats/tensor-types.js";
import type { KvCache } from "../memory/kv-cache.js";
import { layerNames } from "../memory/layout.js";
import type { CacheSlot, LayerSlots, TensorSlot } from "../memory/slots.js";
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
} & {
  /** Of a streamed layer: brings its weights into memory, in place of another's; resolves when they are there. */
  readonly arrive?: () => Promise<void>;
};

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

/** Rows [begin, end) of a tensor or matrix in memory, on their way there; a vector is one row. */
export interface Piece {
  readonly tensor: TensorInfo;
  readonly into: Tensor | Matrix;
  /** The first row of `into` is this one of the file's tensor. */
  readonly firstRow: number;
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
  const pieces = stages.flatMap((stage) => stagePieces(checkpoint, stage));
  const total = pieces.reduce((sum, piece) => sum + fileBytes(piece), 0);
  const report = createProgress("weights", total, onProgress);
  let loaded = 0;

  // as the pieces take turns, so do these
  const [one, other] = [0, 1].map(() => new Uint8Array(Math.max(...pieces.map(pieceBytes))));
  let reading = readPiece(checkpoint, pieces[0]!, one);
  for (const [i, piece] of pieces.entries()) {
    const bytes = await reading;
    signal?.throwIfAborted();
    const next = pieces[i + 1];
    if (next) {
      reading = readPiece(checkpoint, next, i % 2 ? one : other);
      reading.catch(() => {}); // told when it is awaited, if nothing else fails before
    }
    place(checkpoint, piece, bytes);
    loaded += fileBytes(piece);
    report(loaded);
    signal?.throwIfAborted();
  }
}

/** The rows of a piece, in the file's form, perhaps put into an array of so many bytes. */
export function readPiece(
  checkpoint: Checkpoint,
  { tensor, firstRow, begin, end }: Piece,
  into: Uint8Array | undefined,
): Promise<Uint8Array> {
  return checkpoint.readRows(tensor, firstRow + begin, firstRow + end, into);
}

/** What readPiece gives. */
export function pieceBytes({ tensor, begin, end }: Piece): number {
  return (end - begin) * rowBytes(tensor.type, tensor.shape.at(-1)!);
}

/** What a piece takes of the file. */
function fileBytes({ tensor, begin, end }: Piece): number {
  return tensor.shape.length === 1 ? tensor.bytes : (tensor.bytes / tensor.shape[0]!) * (end - begin);
}

/** Everything that belongs into a stage, in the order in which it lies there, without the streamed layers. */
function stagePieces(checkpoint: Checkpoint, stage: Stage): Piece[] {
  const { embedding, head, layers, streamedFrom } = stage.plan;
  const pieces: Piece[] = [];
  const add = (name: string, into: Tensor | Matrix, firstRow?: number) =>
    pieces.push(...tensorPieces(checkpoint, name, into, firstRow));
  if (embedding) add("token_embd.weight", stage.matrix(embedding), embedding.firstRow);
  for (let i = 0; i < Math.min(layers.length, streamedFrom); i++) {
    pieces.push(...layerPieces(checkpoint, stage, i));
  }
  if (head) add("output_norm.weight", stage.tensor(head.norm));
  if (head && head.output !== embedding)
    add("output.weight", stage.matrix(head.output), head.output.firstRow);
  return pieces;
}

/** The weights of the i-th layer of a stage. */
export function layerPieces(checkpoint: Checkpoint, stage: Stage, i: number): Piece[] {
  const layer = bindLayer(stage, stage.plan.layers[i]!);
  return Object.entries(layerNames).flatMap(([key, name]) => {
    const into = layer[key as keyof typeof layerNames];
    return tensorPieces(checkpoint, `blk.${stage.plan.firstLayer + i}.${name}.weight`, into);
  });
}

/** A tensor, or as many of its rows as are wanted from `firstRow` on, in pieces that the stage's staging region holds. */
function tensorPieces(checkpoint: Checkpoint, name: string, into: Tensor | Matrix, firstRow = 0): Piece[] {
  const tensor = checkpoint.tensors.get(name);
  if (!tensor) throw new ModelError(`Cannot load ${checkpoint.source.name}: it has no tensor ${name}`);
  if (!("cols" in into)) return [{ tensor, into, firstRow, begin: 0, end: 1 }];
  const { rows, cols, stage } = into;
  const step = Math.floor(stage.plan.staging.bytes / rowBytes(tensor.type, cols) / 8) * 8;
  const pieces: Piece[] = [];
  for (let begin = 0; begin < rows; begin += step) {
    pieces.push({ tensor, into, firstRow, begin, end: Math.min(begin + step, rows) });
  }
  return pieces;
}

/** Packs a piece's bytes into its place. Throws NumericError for an Inf or a NaN. */
export function place(checkpoint: Checkpoint, piece: Piece, bytes: Uint8Array): void {
  const bad =
    "cols" in piece.into ? packRows(piece, piece.into, bytes) : fillVector(piece, piece.into, bytes);
  if (bad < 0) return;
  throw new NumericError(
    `Cannot load ${checkpoint.source.name}: ${piece.tensor.name} holds an infinity or a NaN in row ${piece.firstRow + piece.begin + bad}; expected finite weights`,
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
