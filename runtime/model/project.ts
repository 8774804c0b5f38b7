import type { Llama } from "./llama.js";
import * as ops from "./ops.js";

/**
 * logits[i] = Woutput . norm(x[i]);  x f32[n, dim], logits f32[n, vocabSize]
 *
 * The end of the forward pass. Of the residual stream after the last layer it makes the model's logits; of that after an earlier layer, what
 * the model would say if it ended there: the logit lens (nostalgebraist 2020).
 *
 * Throws RangeError where x is no whole number of rows.
 */
export function project({ config, heads }: Llama, x: Float32Array): Float32Array<ArrayBuffer> {
  const { dim, vocabSize, normEps } = config;
  const n = x.length / dim;
  if (!Number.isInteger(n)) {
    throw new RangeError(`Cannot project: expected rows of ${dim} floats, found ${x.length} floats`);
  }
  const logits = new Float32Array(n * vocabSize);
  // the classifier, or the rows of it that lie in each of several stages
  for (const { scratch, norm, output, logits: part, firstRow } of heads) {
    const { delta: row, xn } = scratch(1); // not the scratch of the name x, which may be what is projected
    const rowView = row.view();
    const made = part.view();
    for (let i = 0; i < n; i++) {
      rowView.set(x.subarray(i * dim, (i + 1) * dim));
      ops.rmsnorm(xn, row, norm, normEps);
      ops.matmul([part], [output], xn);
      logits.set(made, i * vocabSize + firstRow);
    }
  }
  return logits;
}
