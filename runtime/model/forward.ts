import { type OnLayer, showLayer } from "./layer-state.js";
import type { Llama } from "./llama.js";
import * as ops from "./ops.js";
import { project } from "./project.js";

export interface ForwardOptions {
  /** Number of the first id whose logits are wanted. Default: the last one. */
  readonly logitsFrom?: number | undefined;
  /** Shown what the residual stream is after each layer. Default: nobody looks, which costs nothing. */
  readonly onLayer?: OnLayer | undefined;
}

/**
 * The forward pass of Llama 2 (Touvron et al. 2023, arXiv:2307.09288) over ids at positions `position` and on; earlier positions
 * are in the cache. Takes 1 to plan.batch ids: several are prefill (matrix times matrix), one is decoding (matrix times
 * vector); the results are the same bits either way.
 *
 * Returns the logits f32[n - logitsFrom, vocabSize] of the ids from number `logitsFrom` on, by default of the last one only. Yields, and is to be
 * continued when that has resolved, where the weights of a streamed layer have yet to arrive.
 * Throws RangeError for an id outside the vocabulary or positions outside the context, NumericError for keys or values that the cache's type cannot
 * hold, ThreadError when a thread is lost, and what `onLayer` throws.
 */
function* pass(
  llama: Llama,
  ids: readonly number[],
  position: number,
  { logitsFrom = ids.length - 1, onLayer }: ForwardOptions,
): Generator<Promise<void>, Float32Array<ArrayBuffer>, void> {
  const { config, stages, embedding } = llama;
  const n = ids.length;
  if (n < 1 || n > llama.plan.batch) {
    throw new RangeError(`Cannot run forward: expected 1 to ${llama.plan.batch} ids at once, found ${n}`);
  }

  let number = 0; // of the layer
  let x = stages[0]!.scratch(n).x; // [n, dim], the residual stream
  ops.embed(x, embedding, ids);

  for (const stage of stages) {
    const s = stage.scratch(n);
    ops.hop(s.x, x);
    x = s.x;
    for (const layer of stage.layers) {
      if (layer.arrive) yield layer.arrive();

      // attention: x += Wo . attend(rope(Wq . norm(x)), keys, values)
      ops.rmsnorm(s.xn, x, layer.attnNorm, config.normEps);
      ops.matmul([s.q, s.k, s.v], [layer.attnQ, layer.attnK, layer.attnV], s.xn);
      ops.rope(s.q, stage.rope, position);
      ops.rope(s.k, stage.rope, position);
      ops.store(layer.keys, s.k, position);
      ops.store(layer.values, s.v, position);
      ops.attend(s.attended, s.q, layer.keys, layer.values, position);
      ops.matmul([s.delta], [layer.attnOutput], s.attended);
      ops.add(x, s.delta);

      // feed-forward: x += Wdown . (silu(Wgate . norm(x)) * (Wup . norm(x)))
      ops.rmsnorm(s.xn, x, layer.ffnNorm, config.normEps);
      ops.matmul([s.gate, s.up], [layer.ffnGate, layer.ffnUp], s.xn);
      ops.siluMul(s.gate, s.up);
      ops.matmul([s.delta], [layer.ffnDown], s.gate);
      ops.add(x, s.delta);

      if (onLayer) showLayer(onLayer, llama, { number, keys: layer.keys, x, q: s.q, position });
      number++;
    }
  }

  // logits = Woutput . norm(x), position by position: only those asked for
  return project(llama, x.rows(logitsFrom, n).view());
}

/**
 * The forward pass of a model whose weights are all in memory: see `pass`. Throws a TypeError for one with streamed layers, and what the pass throws.
 */
export function forward(
  llama: Llama,
  ids: readonly number[],
  position: number,
  options: ForwardOptions = {},
): Float32Array<ArrayBuffer> {
  const step = llama.plan.streamedLayers ? undefined : pass(llama, ids, position, options).next();
  if (step?.done) return step.value;
  throw new TypeError(
    `Cannot run forward: expected weights that are all in memory, found ${llama.plan.streamedLayers} streamed layers; use forwardAsync`,
  );
}

/**
 * The forward pass of any model: see `pass`. Rejects with what the pass throws, what reading streamed weights rejects with, and what `wait` does: it
 * is given the arrival of each streamed layer, to let others have their turn and to reject where the pass is to end. A pass that ended early is
 * made good by feeding the same positions again.
 */
export async function forwardAsync(
  llama: Llama,
  ids: readonly number[],
  position: number,
  { wait, ...options }: ForwardOptions & { readonly wait?: (arrival: Promise<void>) => Promise<void> } = {},
): Promise<Float32Array<ArrayBuffer>> {
  const steps = pass(llama, ids, position, options);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    await (wait ? wait(step.value) : step.value);
  }
}
