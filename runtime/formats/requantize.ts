import { NumericError } from "../errors.js";
import { grouped } from "./byte-cursor.js";
import type { Checkpoint, TensorInfo } from "./checkpoint.js";
import { dequantize } from "./dequantize.js";
import { classifierOf, type OutputType, outputType } from "./output-type.js";
import { type QuantizedType, quantize } from "./quantize.js";

/** How far weights that were written in another type are from those that were read. */
export interface WeightErrors {
  /** Root of the mean squared error. */
  readonly rmse: number;
  /** The largest error of one weight. */
  readonly max: number;
  /** Root of the weights' own mean square: what the errors are to be compared with. */
  readonly rms: number;
}

/** Adds up errors, piece by piece. */
export class ErrorSum {
  #weights = 0;
  #squares = 0;
  #squaredErrors = 0;
  #max = 0;

  add(weights: Float32Array, written: Float32Array): void {
    for (let i = 0; i < weights.length; i++) {
      const error = weights[i]! - written[i]!;
      this.#squares += weights[i]! * weights[i]!;
      this.#squaredErrors += error * error;
      this.#max = Math.max(this.#max, Math.abs(error));
    }
    this.#weights += weights.length;
  }

  result(): WeightErrors {
    return {
      rmse: Math.sqrt(this.#squaredErrors / this.#weights),
      max: this.#max,
      rms: Math.sqrt(this.#squares / this.#weights),
    };
  }
}

/**
 * Rows [begin, end) of a tensor in another type; in its own they are the file's bytes.
 *
 * @param errors what the errors are added to
 * @throws NumericError for weights that are no numbers, or too large for the type
 */
export async function readRowsAs(
  checkpoint: Checkpoint,
  tensor: TensorInfo,
  type: OutputType,
  { begin, end, errors }: { readonly begin: number; readonly end: number; readonly errors?: ErrorSum },
): Promise<Uint8Array> {
  const bytes = await checkpoint.readRows(tensor, begin, end);
  if (type === tensor.type) return bytes;
  const weights = dequantize(tensor.type, bytes);
  checkFinite(weights, checkpoint, tensor, begin, "expected finite weights");
  if (type === "F32") return new Uint8Array(weights.buffer);
  const written = quantize(type as QuantizedType, weights);
  if (errors) {
    const values = dequantize(type, written);
    checkFinite(values, checkpoint, tensor, begin, `expected weights that ${type} can hold`);
    errors.add(weights, values);
  }
  return written;
}

function checkFinite(
  weights: Float32Array,
  { source }: Checkpoint,
  { name, shape }: TensorInfo,
  firstRow: number,
  expected: string,
): void {
  let bad = 0;
  while (bad < weights.length && Number.isFinite(weights[bad])) bad++;
  if (bad === weights.length) return;
  const row = firstRow + Math.floor(bad / shape.at(-1)!);
  throw new NumericError(
    `Cannot quantize ${source.name}: ${name} holds an infinity or a NaN in row ${grouped(row)}; ${expected}`,
  );
}

/** The checkpoint with its float matrices quantized as they are read; what is quantized already, and vectors, stay as they are. */
export function quantizedCheckpoint(checkpoint: Checkpoint, type: "q8_0" | "q4_0"): Checkpoint {
  const classifier = classifierOf(checkpoint);
  const wanted = type === "q8_0" ? "Q8_0" : "Q4_0";
  const tensors = new Map<string, TensorInfo>();
  for (const [name, tensor] of checkpoint.tensors) {
    const quantizes = tensor.shape.length > 1 && /^B?F\d+$/.test(tensor.type);
    tensors.set(name, quantizes ? { ...tensor, type: outputType(tensor, wanted, classifier) } : tensor);
  }
  return {
    ...checkpoint,
    tensors,
    readRows: ({ name, type }, begin, end) =>
      readRowsAs(checkpoint, checkpoint.tensors.get(name)!, type, { begin, end }),
  };
}
