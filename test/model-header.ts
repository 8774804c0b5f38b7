import type { Checkpoint, ModelConfig, TensorInfo } from "../runtime/formats/checkpoint.js";
import { llamaTensors } from "../runtime/formats/llama-tensors.js";
import { bytesSource } from "../runtime/formats/source.js";
import { rowBytes, type TensorType } from "../runtime/formats/tensor-types.js";
import { smallConfig } from "./random-model.js";

/** A checkpoint's header, without bytes: planning reads none. The embedding and the classifier may have types of their own. */
export function header(
  config: ModelConfig,
  type: TensorType,
  tied = false,
  embedding = type,
  output = type,
): Checkpoint {
  const tensors = new Map<string, TensorInfo>();
  for (const [name, shape] of llamaTensors(config, { tied })) {
    const isNorm = shape.length === 1;
    const ofType = isNorm
      ? "F32"
      : name === "token_embd.weight"
        ? embedding
        : name === "output.weight"
          ? output
          : type;
    const bytes = rowBytes(ofType, shape.at(-1)!) * (isNorm ? 1 : shape[0]!);
    tensors.set(name, { name, shape, type: ofType, offset: 0, bytes });
  }
  return {
    format: "header",
    architecture: "llama",
    config,
    metadata: new Map(),
    tensors,
    vocabulary: undefined,
    special: {},
    source: { ...bytesSource(new Uint8Array()), name: "model.gguf" },
    readRows: () => Promise.reject(new Error("planning reads no weights")),
  };
}

/** Shapes as published: Touvron et al. 2023, table 1 of the appendix, and the released params.json files. */
const shapes = {
  "7B": { dim: 4096, hiddenDim: 11008, nLayers: 32, nHeads: 32, nKvHeads: 32 },
  "13B": { dim: 5120, hiddenDim: 13824, nLayers: 40, nHeads: 40, nKvHeads: 40 },
  "70B": { dim: 8192, hiddenDim: 28672, nLayers: 80, nHeads: 64, nKvHeads: 8 },
};

/** Llama 2, with its own vocabulary and context. */
export function llama(name: keyof typeof shapes): ModelConfig {
  return smallConfig({ ...shapes[name], vocabSize: 32000, contextLength: 4096 });
}
