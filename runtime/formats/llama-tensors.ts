import type { ModelConfig } from "./checkpoint.js";

/**
 * The tensors of a Llama by GGUF's names, outermost dimension first: each has to be there, and no other may be, save
 * `output.weight`, which a model does without when its classifier is the embedding table (tied).
 */
export function llamaTensors(
  config: ModelConfig,
  { tied }: { readonly tied: boolean },
): Map<string, readonly number[]> {
  const { dim, hiddenDim, nLayers, nHeads, headDim, kvDim, vocabSize } = config;
  const shapes = new Map<string, readonly number[]>();
  shapes.set("token_embd.weight", [vocabSize, dim]);
  for (let layer = 0; layer < nLayers; layer++) {
    const block = `blk.${layer}`;
    shapes.set(`${block}.attn_norm.weight`, [dim]);
    shapes.set(`${block}.attn_q.weight`, [nHeads * headDim, dim]);
    shapes.set(`${block}.attn_k.weight`, [kvDim, dim]);
    shapes.set(`${block}.attn_v.weight`, [kvDim, dim]);
    shapes.set(`${block}.attn_output.weight`, [dim, nHeads * headDim]);
    shapes.set(`${block}.ffn_norm.weight`, [dim]);
    shapes.set(`${block}.ffn_gate.weight`, [hiddenDim, dim]);
    shapes.set(`${block}.ffn_up.weight`, [hiddenDim, dim]);
    shapes.set(`${block}.ffn_down.weight`, [dim, hiddenDim]);
  }
  shapes.set("output_norm.weight", [dim]);
  if (!tied) shapes.set("output.weight", [vocabSize, dim]);
  return shapes;
}

/** Rows of a tensor, as Checkpoint.readRows counts them: a vector is one row. */
function rowsOf(shape: readonly number[]): number {
  return shape.length === 1 ? 1 : shape[0]!;
}

/** Checks a range of rows before it is turned into bytes: a wrong one would read another tensor's. */
export function checkRows(name: string, shape: readonly number[], begin: number, end: number): void {
  const rows = rowsOf(shape);
  if (!(Number.isInteger(begin) && Number.isInteger(end) && 0 <= begin && begin <= end && end <= rows)) {
    throw new RangeError(
      `Cannot read ${name}: expected rows from 0 to ${rows}, asked for [${begin}, ${end})`,
    );
  }
}
