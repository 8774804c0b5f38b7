import { type TensorType, type TensorTypeInfo, tensorTypes } from "./tensor-types.js";

/**
 * Every tensor type that ggml has today, by the number that a GGUF file uses for it; the numbers that are missing were
 * removed from ggml or never given. Sizes are those of the structs in ggml-common.h. Most can be listed but not
 * computed with: `tensorTypes` has those that can.
 *
 * Source: enum ggml_type in ggml.h, and the type traits in ggml.c.
 */
const ggmlTypes: ReadonlyMap<number, GgmlType> = new Map(
  Object.entries({
    0: { name: "F32", ...tensorTypes.F32 },
    1: { name: "F16", ...tensorTypes.F16 },
    2: { name: "Q4_0", ...tensorTypes.Q4_0 },
    3: { name: "Q4_1", ...tensorTypes.Q4_1 },
    6: { name: "Q5_0", ...tensorTypes.Q5_0 },
    7: { name: "Q5_1", ...tensorTypes.Q5_1 },
    8: { name: "Q8_0", ...tensorTypes.Q8_0 },
    9: { name: "Q8_1", blockSize: 32, blockBytes: 36 },
    10: { name: "Q2_K", ...tensorTypes.Q2_K },
    11: { name: "Q3_K", ...tensorTypes.Q3_K },
    12: { name: "Q4_K", ...tensorTypes.Q4_K },
    13: { name: "Q5_K", ...tensorTypes.Q5_K },
    14: { name: "Q6_K", ...tensorTypes.Q6_K },
    15: { name: "Q8_K", blockSize: 256, blockBytes: 292 },
    16: { name: "IQ2_XXS", blockSize: 256, blockBytes: 66 },
    17: { name: "IQ2_XS", blockSize: 256, blockBytes: 74 },
    18: { name: "IQ3_XXS", blockSize: 256, blockBytes: 98 },
    19: { name: "IQ1_S", blockSize: 256, blockBytes: 50 },
    20: { name: "IQ4_NL", ...tensorTypes.IQ4_NL },
    21: { name: "IQ3_S", blockSize: 256, blockBytes: 110 },
    22: { name: "IQ2_S", blockSize: 256, blockBytes: 82 },
    23: { name: "IQ4_XS", blockSize: 256, blockBytes: 136 },
    24: { name: "I8", blockSize: 1, blockBytes: 1 },
    25: { name: "I16", blockSize: 1, blockBytes: 2 },
    26: { name: "I32", blockSize: 1, blockBytes: 4 },
    27: { name: "I64", blockSize: 1, blockBytes: 8 },
    28: { name: "F64", blockSize: 1, blockBytes: 8 },
    29: { name: "IQ1_M", blockSize: 256, blockBytes: 56 },
    30: { name: "BF16", ...tensorTypes.BF16 },
    34: { name: "TQ1_0", blockSize: 256, blockBytes: 54 },
    35: { name: "TQ2_0", blockSize: 256, blockBytes: 66 },
    39: { name: "MXFP4", blockSize: 32, blockBytes: 17 },
    40: { name: "NVFP4", blockSize: 64, blockBytes: 36 },
    41: { name: "Q1_0", blockSize: 128, blockBytes: 18 },
  }).map(([number, type]) => [Number(number), type]),
);

/** A ggml tensor type: its name in ggml, and how its weights are stored. */
export interface GgmlType extends TensorTypeInfo {
  readonly name: string;
}

/** The type with this number in a GGUF file; undefined when ggml has none, or no longer. */
export function ggmlType(number: number): GgmlType | undefined {
  return ggmlTypes.get(number);
}

const typesByName: ReadonlyMap<string, GgmlType & { readonly number: number }> = new Map(
  [...ggmlTypes].map(([number, type]) => [type.name, { ...type, number }]),
);

/** The type of this name, with its number in a GGUF file. */
export function ggmlTypeNamed(name: string): GgmlType & { readonly number: number } {
  const type = typesByName.get(name);
  if (!type) throw new TypeError(`Cannot find a tensor type: expected one of ggml's, found ${name}`);
  return type;
}

/** Whether the runtime can compute with tensors of this type. */
export function isComputable(name: string): name is TensorType {
  return Object.hasOwn(tensorTypes, name);
}
