import type { KvCache } from "../memory/kv-cache.js";
import type { Tensor } from "../memory/tensor.js";
import { attentionWeights } from "./attention-weights.js";
import type { Llama } from "./llama.js";
import { project } from "./project.js";

/** What there is to see of a pass after a layer. It holds during the call of `onLayer` that it is given to, and not after it. */
export interface LayerState {
  /** The layer's number, 0 to nLayers - 1. */
  readonly layer: number;
  /** The first token's position, from 0. */
  readonly position: number;
  /** How many tokens go through the layer at once: those at `position` to `position + count - 1`. */
  readonly count: number;
  /**
   * The residual stream as the layer leaves it, f32[count, dim]: a view of the memory that the next layer reads, not a copy. What is written
   * here the layers above compute with. Copy what is to be kept: the memory is used again at once.
   */
  readonly residual: Float32Array;
  /**
   * The layer's attention, f32[count, nHeads, position + count]: how much of each token's value, from position 0 on, goes into each token of the
   * pass; 0 for those after it. Each row adds up to 1. Computed anew on each call, in float64 from the layer's queries and cached keys; the
   * forward pass has these numbers in float32, within 1e-5 of them.
   *
   * @throws Error when `onLayer` has returned.
   */
  attention(): Float32Array<ArrayBuffer>;
  /**
   * The logits f32[n, vocabSize] of residuals f32[n, dim], such as a part of `residual`: the final norm and the classifier applied to them. What
   * the model would say if this layer were its last (the logit lens), or what a direction of the residual stream speaks for.
   *
   * @throws RangeError for what is no whole number of rows, Error when `onLayer` has returned.
   */
  project(residual: Float32Array): Float32Array<ArrayBuffer>;
}

/** Is shown each layer of each pass through the model, when the layer is done. What it throws ends the pass. */
export type OnLayer = (state: LayerState) => void;

/** A layer that is done, and what of it lies in memory. */
interface DoneLayer {
  readonly number: number;
  readonly keys: KvCache;
  /** f32[n, dim], the residual stream. */
  readonly x: Tensor;
  /** f32[n, nHeads, headDim], the layer's queries after rope. */
  readonly q: Tensor;
  readonly position: number;
}

/** Calls `onLayer` with a state that refuses to compute once it has returned. */
export function showLayer(onLayer: OnLayer, llama: Llama, { number, keys, x, q, position }: DoneLayer): void {
  let isOver = false;
  const expectCall = (doing: string) => {
    if (isOver)
      throw new Error(
        `Cannot ${doing} of layer ${number}: expected a call within onLayer, found one after it`,
      );
  };
  try {
    onLayer({
      layer: number,
      position,
      count: x.shape[0]!,
      residual: x.view(),
      attention() {
        expectCall("give the attention");
        return attentionWeights(q, keys, position);
      },
      project(residual) {
        expectCall("project residuals");
        return project(llama, residual);
      },
    });
  } finally {
    isOver = true;
  }
}
