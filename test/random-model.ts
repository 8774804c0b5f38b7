import type { Checkpoint, ModelConfig, TensorInfo } from "../runtime/formats/checkpoint.js";
import { bytesSource } from "../runtime/formats/source.js";
import { rowBytes, type TensorType } from "../runtime/formats/tensor-types.js";
import { createRandom } from "../runtime/sampling/random.js";
import { quantize } from "./quantize.js";

/** What kind of model `randomCheckpoint` makes up. */
export interface RandomModelOptions {
  readonly config: ModelConfig;
  /** The type of every matrix, or of each by its name; norms are F32. */
  readonly type: TensorType | ((name: string) => TensorType);
  readonly seed: number;
  /** Whether the classifier is the embedding table, so that there is no `output.weight`. */
  readonly tied?: boolean;
}

/** A config that is consistent, small, and has grouped-query attention; say only what matters to the test. */
export function smallConfig(changes: Partial<ModelConfig> = {}): ModelConfig {
  const sizes = { dim: 64, nHeads: 4, nKvHeads: 2, ...changes };
  const headDim = changes.headDim ?? sizes.dim / sizes.nHeads;
  return {
    hiddenDim: 96,
    nLayers: 2,
    headDim,
    kvDim: sizes.nKvHeads * headDim,
    ropeDim: headDim,
    ropeBase: 10000,
    normEps: 1e-5,
    vocabSize: 48,
    contextLength: 64,
    ...sizes,
  };
}

/**
 * A checkpoint in memory with random weights: matrices normal with deviation 1/sqrt(cols), so that activations keep
 * their size and the logits spread; the embedding normal with deviation 1; norms around 1. Its source is the tensors'
 * bytes one after the other.
 */
export function randomCheckpoint({ config, type, seed, tied = false }: RandomModelOptions): Checkpoint {
  const normal = normalNumbers(createRandom(seed));
  const tensors = new Map<string, TensorInfo>();
  const contents: Uint8Array[] = [];
  let offset = 0;

  for (const [name, shape] of Object.entries(tensorShapes(config, tied))) {
    const isNorm = shape.length === 1;
    const cols = shape.at(-1)!;
    const deviation = isNorm ? 0.2 : name === "token_embd.weight" ? 1 : 1 / Math.sqrt(cols);
    const mean = isNorm ? 1 : 0;
    const count = shape.reduce((product, size) => product * size, 1);
    const weights = Float32Array.from({ length: count }, () => mean + deviation * normal());

    const tensorType = isNorm ? "F32" : typeof type === "string" ? type : type(name);
    const bytes = quantize(tensorType, weights);
    tensors.set(name, { name, shape, type: tensorType, offset, bytes: bytes.length });
    contents.push(bytes);
    offset += bytes.length;
  }

  const file = new Uint8Array(offset);
  let at = 0;
  for (const bytes of contents) {
    file.set(bytes, at);
    at += bytes.length;
  }
  const source = bytesSource(file, `random ${typeof type === "string" ? type : "mixed"} model`);
  return {
    format: "random weights",
    architecture: "llama",
    config,
    metadata: new Map(),
    tensors,
    vocabulary: undefined,
    special: {},
    source,
    readRows(tensor, begin, end) {
      const stride = rowBytes(tensor.type, tensor.shape.at(-1)!);
      return source.read(tensor.offset + begin * stride, tensor.offset + end * stride);
    },
  };
}

/** Every tensor of a Llama by GGUF's name, outermost dimension first. */
function tensorShapes(config: ModelConfig, tied: boolean): Record<string, number[]> {
  const { dim, hiddenDim, nLayers, nHeads, headDim, kvDim, vocabSize } = config;
  const shapes: Record<string, number[]> = { "token_embd.weight": [vocabSize, dim] };
  for (let layer = 0; layer < nLayers; layer++) {
    const block = `blk.${layer}`;
    shapes[`${block}.attn_norm.weight`] = [dim];
    shapes[`${block}.attn_q.weight`] = [nHeads * headDim, dim];
    shapes[`${block}.attn_k.weight`] = [kvDim, dim];
    shapes[`${block}.attn_v.weight`] = [kvDim, dim];
    shapes[`${block}.attn_output.weight`] = [dim, nHeads * headDim];
    shapes[`${block}.ffn_norm.weight`] = [dim];
    shapes[`${block}.ffn_gate.weight`] = [hiddenDim, dim];
    shapes[`${block}.ffn_up.weight`] = [hiddenDim, dim];
    shapes[`${block}.ffn_down.weight`] = [dim, hiddenDim];
  }
  shapes["output_norm.weight"] = [dim];
  if (!tied) shapes["output.weight"] = [vocabSize, dim];
  return shapes;
}

/**
 * Numbers that are nearly normal, mean 0 and deviation 1: the sum of twelve uniform ones less six (Irwin-Hall). Sums
 * are exact in every engine, where Box-Muller's logarithm is not, so a seed is one model everywhere.
 */
export function normalNumbers(random: () => number): () => number {
  return () => {
    let sum = -6;
    for (let i = 0; i < 12; i++) sum += random();
    return sum;
  };
}
