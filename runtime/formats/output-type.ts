import type { Checkpoint, TensorInfo } from "./checkpoint.js";
import { ggmlTypeNamed } from "./ggml-types.js";
import type { QuantizedType } from "./quantize.js";
import type { TensorType } from "./tensor-types.js";

/** The type that a tensor is to be written in. */
export type OutputType = TensorType | QuantizedType;

/**
 * The type for a tensor of a model that is written in `type`: norms stay F32; a row that is no multiple of the type's block becomes
 * Q8_0 or else F16; and in a model of four bits the classifier is Q6_K where that fits, as llama.cpp has it, since an error there goes
 * straight into the logits.
 */
export function outputType<T extends QuantizedType>(
  { name, shape }: TensorInfo,
  type: T,
  classifier: string,
): T | "F32" | "F16" | "Q8_0" | "Q6_K" {
  if (shape.length === 1) return "F32";
  const cols = shape.at(-1)!;
  const wanted = type.startsWith("Q4") && name === classifier ? "Q6_K" : type;
  const fitting = [wanted, "Q8_0", "F16"] as const;
  return fitting.find((candidate) => cols % ggmlTypeNamed(candidate).blockSize === 0)!;
}

/** The name of the matrix that the logits are made with: in a tied model it is the embedding. */
export function classifierOf({ tensors }: Checkpoint): string {
  return tensors.has("output.weight") ? "output.weight" : "token_embd.weight";
}
