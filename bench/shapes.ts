import type { ModelConfig } from "../runtime/formats/checkpoint.js";
import { type TensorType, tensorTypes } from "../runtime/formats/tensor-types.js";

/** What a model looks like, its weights aside. */
export interface Shape {
  readonly config: ModelConfig;
  /** Whether the classifier is the embedding table. */
  readonly tied: boolean;
}

/** The numbers that a shape is chosen by; the others follow from them. */
export interface ShapeNumbers {
  readonly dim: number;
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocab: number;
  readonly context: number;
}

/** Real models by their config files, with the numbers as published; RoPE's base is that of Llama 2 throughout. */
const published = {
  stories15m: { dim: 288, hidden: 768, layers: 6, heads: 6, kvHeads: 6, vocab: 32_000, context: 256 },
  stories110m: { dim: 768, hidden: 2048, layers: 12, heads: 12, kvHeads: 12, vocab: 32_000, context: 1024 },
  tinyllama: { dim: 2048, hidden: 5632, layers: 22, heads: 32, kvHeads: 4, vocab: 32_000, context: 2048 },
  "7b": { dim: 4096, hidden: 11_008, layers: 32, heads: 32, kvHeads: 32, vocab: 32_000, context: 4096 },
  "13b": { dim: 5120, hidden: 13_824, layers: 40, heads: 40, kvHeads: 40, vocab: 32_000, context: 4096 },
  "34b": { dim: 8192, hidden: 22_016, layers: 48, heads: 64, kvHeads: 8, vocab: 32_000, context: 4096 },
  "70b": { dim: 8192, hidden: 28_672, layers: 80, heads: 64, kvHeads: 8, vocab: 32_000, context: 4096 },
} as const satisfies Record<string, ShapeNumbers>;

export type ShapeName = keyof typeof published;

export const shapeNames = Object.keys(published) as readonly ShapeName[];

export function isShapeName(name: string): name is ShapeName {
  return Object.hasOwn(published, name);
}

/** A real model's shape, or with some numbers changed. Those of karpathy's stories tie the classifier. */
export function namedShape(name: ShapeName, changes: Partial<ShapeNumbers> = {}): Shape {
  return customShape({ ...published[name], ...changes }, name.startsWith("stories"));
}

/** Throws RangeError for numbers that make no Llama. */
export function customShape(numbers: ShapeNumbers, tied: boolean): Shape {
  const { dim, hidden, layers, heads, kvHeads, vocab, context } = numbers;
  const headDim = dim / heads;
  if (!Number.isInteger(headDim / 2) || !Number.isInteger(heads / kvHeads)) {
    throw new RangeError(
      `Cannot make a model: expected a width that heads divide evenly, and heads that kv heads divide; found ${dim}, ${heads} and ${kvHeads}`,
    );
  }
  const config = {
    dim,
    hiddenDim: hidden,
    nLayers: layers,
    nHeads: heads,
    nKvHeads: kvHeads,
    headDim,
    kvDim: kvHeads * headDim,
    ropeDim: headDim,
    ropeBase: 10_000,
    normEps: 1e-5,
    vocabSize: vocab,
    contextLength: context,
  };
  return { config, tied };
}

/** Types of files: a tensor type, or one of llama.cpp's mixtures. */
export const fileTypes = [...(Object.keys(tensorTypes) as TensorType[]), "Q4_K_M", "Q5_K_M"] as const;

export type FileType = (typeof fileTypes)[number];

/**
 * The type that llama.cpp's quantizer gives a tensor of a Llama in a file of this type, without an importance matrix. The
 * classifier is Q6_K unless the file is of 8 bits or more; a mixture ("M") has Q6_K for the values and the down projection of
 * the first and last eighth of the layers and of every third one between them. Source: llama_tensor_get_type in llama.cpp's
 * llama-quant.cpp.
 */
export function tensorTypeIn(file: FileType, name: string, { config, tied }: Shape): TensorType {
  if (/norm\.weight$/.test(name)) return "F32";
  const base = file.replace(/_M$/, "") as TensorType;
  const isClassifier = name === (tied ? "token_embd.weight" : "output.weight");
  if (isClassifier && tensorTypes[base].blockSize > 1 && base !== "Q8_0") {
    return config.dim % 256 === 0 ? "Q6_K" : "Q8_0";
  }
  const isMixed = file !== base && /\.(attn_v|ffn_down)\.weight$/.test(name);
  return isMixed && usesMoreBits(Number(name.split(".")[1]), config.nLayers) ? "Q6_K" : base;
}

function usesMoreBits(layer: number, layers: number): boolean {
  const eighth = Math.floor(layers / 8);
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2;
}
