import type { Stage } from "../memory/stage.js";
import { encodedBytes, type Matrix, type Tensor, type WeightType } from "../memory/tensor.js";

// One function per step of the forward pass. Each checks its shapes, picks the kernel by weight type and by number of
// positions, and hands it addresses that are inside the stage's memory: the plan made them, and the shapes say so.

/** Positions that a matmul kernel takes side by side; what is left over goes through matvec, bit-identically. */
const TILE = 4;

/** out[i] = embedding[ids[i]];  out f32[n, dim], embedding [vocabSize, dim], n ids */
export function embed(out: Tensor, embedding: Matrix, ids: readonly number[]): void {
  const stage = sameStage("embed", out, embedding);
  expectShape("embed: out", out, [ids.length, embedding.cols]);
  const kernel = stage.kernels[`embed_${embedding.type}`];
  ids.forEach((id, i) => {
    if (!Number.isInteger(id) || id < 0 || id >= embedding.rows) {
      throw new RangeError(`Cannot embed token ${id}: expected an id from 0 to ${embedding.rows - 1}`);
    }
    kernel(out.address + i * embedding.cols * 4, embedding.address, id, embedding.cols);
  });
  stage.checkGuards("embed");
}

/** out = x / rms(x) * weight;  out, x f32[n, dim], weight f32[dim] */
export function rmsnorm(out: Tensor, x: Tensor, weight: Tensor, eps: number): void {
  const stage = sameStage("rmsnorm", out, x, weight);
  const [n, dim] = x.shape as [number, number];
  expectShape("rmsnorm: out", out, [n, dim]);
  expectShape("rmsnorm: weight", weight, [dim]);
  stage.kernels.rmsnorm(out.address, x.address, weight.address, n, dim, eps);
  stage.checkGuards("rmsnorm");
}

/**
 * outs[i] = weights[i] . x: several matrices that multiply one input, which is encoded once for each weight type among them.
 * outs[i] holds n * rows floats, weights[i] [rows, cols], x n * cols floats; n is x's outermost dimension.
 */
export function matmul(outs: readonly Tensor[], weights: readonly Matrix[], x: Tensor): void {
  const stage = sameStage("matmul", x, ...outs, ...weights);
  const n = x.shape[0]!;
  let encoded: WeightType | undefined;
  weights.forEach((w, i) => {
    const out = outs[i]!;
    if (x.length !== n * w.cols || out.length !== n * w.rows) {
      throw new RangeError(
        `Cannot multiply: expected x of ${n} x ${w.cols} and out of ${n} x ${w.rows}, found ${x.length} and ${out.length} floats`,
      );
    }
    if (encoded !== w.type) encode(stage, w.type, x, n, w.cols);
    encoded = w.type;
    multiply(stage, out, w, n);
  });
  stage.checkGuards("matmul");
}

/** Encodes the positions of x, in tiles of four and then one by one, into the stage's region for that. */
function encode(stage: Stage, type: WeightType, x: Tensor, n: number, cols: number): void {
  const bytes = encodedBytes(type, cols);
  const region = stage.plan.encoded;
  if (n * bytes > region.bytes) {
    throw new RangeError(
      `Cannot encode ${n} positions: expected at most ${region.bytes} bytes, found ${n * bytes}`,
    );
  }
  const kernel = stage.kernels[`encode_${type}`];
  const tiled = n - (n % TILE);
  for (let i = 0; i < tiled; i += TILE)
    kernel(region.address + i * bytes, x.address + i * cols * 4, cols, TILE);
  for (let i = tiled; i < n; i++) kernel(region.address + i * bytes, x.address + i * cols * 4, cols, 1);
}

function multiply(stage: Stage, out: Tensor, w: Matrix, n: number): void {
  const bytes = encodedBytes(w.type, w.cols);
  const x = stage.plan.encoded.address;
  const matmul = stage.kernels[`matmul_${w.type}`];
  const matvec = stage.kernels[`matvec_${w.type}`];
  const tiles = Math.floor(n / TILE);
  if (tiles) matmul(out.address, w.address, x, 0, w.rows, w.rows, w.cols, tiles, TILE * bytes);
  for (let i = tiles * TILE; i < n; i++) {
    matvec(out.address + i * w.rows * 4, w.address, x + i * bytes, 0, w.rows, w.cols);
  }
}

/** Rotates x in place;  x f32[n, heads, headDim] at positions `position` and on, table f32[contextLength, ropeDim / 2, 2] */
export function rope(x: Tensor, table: Tensor, position: number): void {
  const stage = sameStage("rope", x, table);
  const [n, heads, headDim] = x.shape as [number, number, number];
  const ropeDim = 2 * table.shape[1]!;
  const angles = table.rows(position, position + n);
  stage.kernels.rope(x.address, angles.address, n, heads, headDim, ropeDim);
  stage.checkGuards("rope");
}

/** cache[:, position + i] = x[i];  cache f32[nKvHeads, contextLength, headDim], x f32[n, nKvHeads, headDim] */
export function store(cache: Tensor, x: Tensor, position: number): void {
  const stage = sameStage("store", cache, x);
  const [heads, contextLength, headDim] = cache.shape as [number, number, number];
  const n = x.shape[0]!;
  expectShape("store: x", x, [n, heads, headDim]);
  expectPositions("store", position, n, contextLength);
  stage.kernels.cache_f32(cache.address, x.address, position, n, heads, headDim, contextLength);
  stage.checkGuards("store");
}

/**
 * out[i] = softmax(q[i] . keys / sqrt(headDim)) values, over the positions up to position + i
 *
 * out, q f32[n, nHeads, headDim]; keys, values f32[nKvHeads, contextLength, headDim]; scores f32[contextLength], scratch
 */
export function attend(
  out: Tensor,
  q: Tensor,
  keys: Tensor,
  values: Tensor,
  scores: Tensor,
  position: number,
): void {
  const stage = sameStage("attend", out, q, keys, values, scores);
  const [n, heads, headDim] = q.shape as [number, number, number];
  const [kvHeads, contextLength] = keys.shape as [number, number, number];
  expectShape("attend: out", out, q.shape);
  expectShape("attend: keys", keys, [kvHeads, contextLength, headDim]);
  expectShape("attend: values", values, keys.shape);
  expectShape("attend: scores", scores, [contextLength]);
  expectPositions("attend", position, n, contextLength);
  stage.kernels.attention_f32(
    out.address,
    q.address,
    keys.address,
    values.address,
    scores.address,
    0,
    heads,
    heads,
    heads / kvHeads,
    headDim,
    contextLength,
    position,
    n,
    1 / Math.sqrt(headDim),
  );
  stage.checkGuards("attend");
}

/** gate = silu(gate) * up;  both f32[n, hiddenDim] */
export function siluMul(gate: Tensor, up: Tensor): void {
  const stage = sameStage("siluMul", gate, up);
  expectShape("siluMul: up", up, gate.shape);
  stage.kernels.silu_mul(gate.address, gate.address, up.address, gate.length);
  stage.checkGuards("siluMul");
}

/** x += delta;  both f32[n, dim] */
export function add(x: Tensor, delta: Tensor): void {
  const stage = sameStage("add", x, delta);
  expectShape("add: delta", delta, x.shape);
  stage.kernels.add(x.address, delta.address, x.length);
  stage.checkGuards("add");
}

/** Copies the residual stream into another stage's memory; nothing to do when it is there. */
export function hop(to: Tensor, from: Tensor): void {
  if (to.stage === from.stage && to.address === from.address) return;
  expectShape("hop: to", to, from.shape);
  to.view().set(from.view());
}

function sameStage(
  operation: string,
  first: Tensor | Matrix,
  ...others: readonly (Tensor | Matrix)[]
): Stage {
  for (const other of others) {
    if (other.stage !== first.stage)
      throw new TypeError(`Cannot ${operation}: its tensors lie in different stages`);
  }
  return first.stage;
}

function expectShape(what: string, tensor: Tensor, shape: readonly number[]): void {
  if (tensor.shape.length !== shape.length || tensor.shape.some((size, i) => size !== shape[i])) {
    throw new RangeError(`${what}: expected shape [${shape.join(", ")}], found [${tensor.shape.join(", ")}]`);
  }
}

function expectPositions(operation: string, position: number, n: number, contextLength: number): void {
  if (!Number.isInteger(position) || position < 0 || position + n > contextLength) {
    throw new RangeError(
      `Cannot ${operation}: expected positions below ${contextLength}, found ${position} to ${position + n - 1}`,
    );
  }
}
