import type { Checkpoint } from "../runtime/formats/checkpoint.js";
import { dequantize } from "./dequantize.js";

/** A layer of the reference model when it is done. */
export interface ReferenceLayer {
  readonly layer: number;
  /** The residual stream f64[dim] of each position; what is written here the layers above compute with. */
  readonly residual: readonly Float64Array[];
  /** Attention weights by position, head, and position that is attended to. */
  readonly attention: readonly (readonly Float64Array[])[];
}

/**
 * The logits of every position, by a Llama forward pass that is as plain as it can be: float64 throughout, one loop
 * per sum, no cache, nothing quantized but the weights. It is the oracle that the real one is tested against.
 * (Its rotation takes interleaved pairs, as Meta's, llama2.c's and GGUF's llama files do.)
 *
 * @returns for each position the logits f64[vocabSize] of the next token
 */
export async function referenceLogits(
  checkpoint: Checkpoint,
  ids: number[],
  onLayer?: (state: ReferenceLayer) => void,
): Promise<Float64Array[]> {
  const { nLayers, nHeads, nKvHeads, headDim, normEps, vocabSize } = checkpoint.config;

  const embedding = await matrix(checkpoint, "token_embd.weight");
  const x = ids.map((id) => {
    if (!(id >= 0 && id < vocabSize)) throw new RangeError(`Token id ${id} is not in 0..${vocabSize - 1}`);
    return embedding[id]!.slice();
  });

  for (let layer = 0; layer < nLayers; layer++) {
    const name = (part: string) => `blk.${layer}.${part}.weight`;
    const attnNorm = await vector(checkpoint, name("attn_norm"));
    const attnQ = await matrix(checkpoint, name("attn_q"));
    const attnK = await matrix(checkpoint, name("attn_k"));
    const attnV = await matrix(checkpoint, name("attn_v"));
    const attnOutput = await matrix(checkpoint, name("attn_output"));
    const ffnNorm = await vector(checkpoint, name("ffn_norm"));
    const ffnGate = await matrix(checkpoint, name("ffn_gate"));
    const ffnUp = await matrix(checkpoint, name("ffn_up"));
    const ffnDown = await matrix(checkpoint, name("ffn_down"));

    // attention: x += Wo . attend(rope(Wq . norm(x)), rope(Wk . norm(x)), Wv . norm(x))
    const normed = x.map((row) => rmsnorm(row, attnNorm, normEps));
    const q = normed.map((row, position) => heads(rope(checkpoint, multiply(attnQ, row), position), headDim));
    const k = normed.map((row, position) => heads(rope(checkpoint, multiply(attnK, row), position), headDim));
    const v = normed.map((row) => heads(multiply(attnV, row), headDim));
    const attention = ids.map((): Float64Array[] => []);
    for (let position = 0; position < ids.length; position++) {
      const attended = new Float64Array(nHeads * headDim);
      for (let head = 0; head < nHeads; head++) {
        const kvHead = Math.floor(head / (nHeads / nKvHeads));
        const keys = k.slice(0, position + 1).map((atPosition) => atPosition[kvHead]!);
        const values = v.slice(0, position + 1).map((atPosition) => atPosition[kvHead]!);
        const weights = attentionWeights(q[position]![head]!, keys);
        attention[position]!.push(weights);
        values.forEach((value, t) => {
          const weighted = value.map((component) => weights[t]! * component);
          addTo(attended.subarray(head * headDim, (head + 1) * headDim), weighted);
        });
      }
      addTo(x[position]!, multiply(attnOutput, attended));
    }

    // feed-forward: x += Wdown . (silu(Wgate . norm(x)) * (Wup . norm(x)))
    for (const row of x) {
      const normed = rmsnorm(row, ffnNorm, normEps);
      const gate = multiply(ffnGate, normed);
      const up = multiply(ffnUp, normed);
      const hidden = gate.map((g, i) => (g / (1 + Math.exp(-g))) * up[i]!);
      addTo(row, multiply(ffnDown, hidden));
    }
    onLayer?.({ layer, residual: x, attention });
  }
  return referenceProjection(checkpoint, x);
}

/** The logits f64[vocabSize] of each residual f64[dim]: the final norm and the classifier. */
export async function referenceProjection(
  checkpoint: Checkpoint,
  residuals: readonly Float64Array[],
): Promise<Float64Array[]> {
  const { normEps } = checkpoint.config;
  const outputNorm = await vector(checkpoint, "output_norm.weight");
  const tied = !checkpoint.tensors.has("output.weight");
  const output = await matrix(checkpoint, tied ? "token_embd.weight" : "output.weight");
  return residuals.map((row) => multiply(output, rmsnorm(row, outputNorm, normEps)));
}

/** norm(x)[i] = weight[i] * x[i] / sqrt(mean(x^2) + eps) */
function rmsnorm(x: Float64Array, weight: Float64Array, eps: number): Float64Array {
  let squares = 0;
  for (const value of x) squares += value * value;
  const scale = 1 / Math.sqrt(squares / x.length + eps);
  return x.map((value, i) => weight[i]! * value * scale);
}

/** Rotates the pairs (2i, 2i + 1) of the first ropeDim values of each head by position * ropeBase^(-2i/ropeDim). */
function rope(checkpoint: Checkpoint, x: Float64Array, position: number): Float64Array {
  const { headDim, ropeDim, ropeBase } = checkpoint.config;
  const rotated = x.slice();
  for (let head = 0; head < x.length; head += headDim) {
    for (let i = 0; i < ropeDim / 2; i++) {
      const angle = position * ropeBase ** ((-2 * i) / ropeDim);
      const a = x[head + 2 * i]!;
      const b = x[head + 2 * i + 1]!;
      rotated[head + 2 * i] = a * Math.cos(angle) - b * Math.sin(angle);
      rotated[head + 2 * i + 1] = a * Math.sin(angle) + b * Math.cos(angle);
    }
  }
  return rotated;
}

/** softmax over t of q . k[t] / sqrt(headDim) */
function attentionWeights(query: Float64Array, keys: Float64Array[]): Float64Array {
  const scores = Float64Array.from(keys, (key) => dot(query, key) / Math.sqrt(query.length));
  const max = Math.max(...scores);
  const exps = scores.map((score) => Math.exp(score - max));
  const sum = exps.reduce((total, e) => total + e, 0);
  return exps.map((e) => e / sum);
}

function multiply(rows: Float64Array[], x: Float64Array): Float64Array {
  return Float64Array.from(rows, (row) => dot(row, x));
}

function dot(a: Float64Array, b: Float64Array): number {
  if (a.length !== b.length) throw new RangeError(`A dot product of ${a.length} and ${b.length} values`);
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function addTo(x: Float64Array, addend: Float64Array): void {
  for (let i = 0; i < x.length; i++) x[i]! += addend[i]!;
}

function heads(x: Float64Array, headDim: number): Float64Array[] {
  return Array.from({ length: x.length / headDim }, (_, head) =>
    x.subarray(head * headDim, (head + 1) * headDim),
  );
}

/** A tensor [rows, cols] as its rows. */
async function matrix(checkpoint: Checkpoint, name: string): Promise<Float64Array[]> {
  const tensor = checkpoint.tensors.get(name);
  if (!tensor) throw new RangeError(`The checkpoint has no tensor "${name}"`);
  const [rows, cols] = tensor.shape.length === 1 ? [1, tensor.shape[0]!] : (tensor.shape as [number, number]);
  const weights = dequantize(tensor.type, await checkpoint.readRows(tensor, 0, rows));
  if (weights.length !== rows * cols) throw new RangeError(`"${name}" delivered ${weights.length} weights`);
  return Array.from({ length: rows }, (_, row) => weights.subarray(row * cols, (row + 1) * cols));
}

async function vector(checkpoint: Checkpoint, name: string): Promise<Float64Array> {
  const [row] = await matrix(checkpoint, name);
  return row!;
}
