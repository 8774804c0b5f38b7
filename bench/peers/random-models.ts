import type { ModelConfig } from "../../runtime/formats/checkpoint.js";
import { type TensorType, tensorTypes } from "../../runtime/formats/tensor-types.js";
import { smallConfig } from "../../test/random-model.js";

/** A model to be made up: what the table calls it, and its shape. */
export interface RandomModel {
  readonly heads: string;
  readonly type: TensorType;
  readonly config: ModelConfig;
  readonly seed: number;
}

/** Dims are multiples of 32, which the blocks of Q8_0 and Q4_0 ask for, and none of 256. */
const widths = [
  { headDim: 32, dim: 160, hiddenDim: 416 },
  { headDim: 64, dim: 288, hiddenDim: 736 },
  { headDim: 80, dim: 320, hiddenDim: 864 },
  { headDim: 128, dim: 416, hiddenDim: 1120 },
];

/** For types with blocks of 256: dims, and heads x head size, are multiples of it. */
const wideWidths = [
  { headDim: 64, dim: 256, hiddenDim: 768 },
  { headDim: 128, dim: 512, hiddenDim: 1280 },
];

const headCounts = [
  { heads: "MHA", nHeads: 4, nKvHeads: 4 },
  { heads: "GQA", nHeads: 8, nKvHeads: 2 },
  { heads: "MQA", nHeads: 8, nKvHeads: 1 },
];

/** The models of these types, whose matrices are all of one type. */
export const randomModels = (types: readonly TensorType[]): readonly RandomModel[] =>
  types.flatMap((type) =>
    headCounts.flatMap(({ heads, nHeads, nKvHeads }) =>
      (tensorTypes[type].blockSize === 256 ? wideWidths : widths).map((width, i) => ({
        heads: `${heads} ${nHeads}/${nKvHeads}`,
        type,
        config: smallConfig({
          ...width,
          nHeads,
          nKvHeads,
          nLayers: 3,
          vocabSize: 512,
          contextLength: 512,
        }),
        seed: 100 * nHeads + 10 * nKvHeads + i,
      })),
    ),
  );
