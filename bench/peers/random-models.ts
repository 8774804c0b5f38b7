import type { ModelConfig } from "../../runtime/formats/checkpoint.js";
import type { TensorType } from "../../runtime/formats/tensor-types.js";
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

const headCounts = [
  { heads: "MHA", nHeads: 4, nKvHeads: 4 },
  { heads: "GQA", nHeads: 8, nKvHeads: 2 },
  { heads: "MQA", nHeads: 8, nKvHeads: 1 },
];

const types = ["F32", "Q8_0", "Q4_0"] as const;

export const randomModels: readonly RandomModel[] = types.flatMap((type) =>
  headCounts.flatMap(({ heads, nHeads, nKvHeads }) =>
    widths.map((width, i) => ({
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
