import { NumericError } from "../errors.js";
import { rowBytes, type TensorType } from "../formats/tensor-types.js";
import { jobNumbers, MAX_JOB_MATRICES, rowUnits } from "../memory/jobs.js";
import { attentionScratchBytes, cacheRowBytes, type KvCache } from "../memory/kv-cache.js";
import type { Stage } from "../memory/stage.js";
import { encodedBytes, type Matrix, packedBytes, type Tensor, type WeightType } from "../memory/tensor.js";

// One function per step of the forward pass. Each checks its shapes, picks the kernel by weight type and by number of
// positions, and hands it addresses that are inside the stage's memory: the plan made them, and the shapes say so.
// Threads share what is large enough; how it is cut changes no bit of the results.

/** Positions that a matmul kernel takes side by side; what is left over goes through matvec, bit-identically. */
const TILE = 4;

/**
 * The least of a job that a thread takes at once, in bytes that a kernel reads or writes; less than two of these are not shared. It takes some
 * microseconds, of which telling each other takes half a one.
 */
const LEAST_BYTES = 65_536;
/** Most chunks of a job for each thread: few, since each costs, and enough that the threads end at about the same time. */
const CHUNKS_PER_THREAD = 8;

/** Units of a job to take at once, a multiple of `step`, when there are so many and each costs so many bytes. */
function chunkOf(stage: Stage, units: number, unitBytes: number, step = 1): number {
  const chunks = Math.min(Math.floor((units * unitBytes) / LEAST_BYTES), CHUNKS_PER_THREAD * stage.threads);
  return Math.ceil(units / Math.max(1, chunks) / step) * step;
}

/**
 * Packs rows from a file that lie at `source`, in its type's layout, as rows `row` and on of a matrix; `row` is a multiple of 8. Returns the first
 * of them that holds an infinity or a NaN, counted from `row`, or -1.
 */
export function pack(matrix: Matrix, row: number, rows: number, type: TensorType, source: number): number {
  const { stage, cols } = matrix;
  const bytes = rowBytes(type, cols);
  return stage.run(
    jobNumbers[`pack_${type.toLowerCase() as Lowercase<TensorType>}`],
    rows,
    chunkOf(stage, rows, bytes, 8),
    [matrix.groupAddress(row), source, cols, packedBytes(matrix.type, 8, cols), bytes],
  );
}

/** Rows of the embedding from `firstRow` on. It is cut by rows where it is larger than a stage. */
export interface EmbeddingPiece {
  readonly matrix: Matrix; // [rows, dim]
  readonly firstRow: number;
  /** Where a row is put that is wanted in another stage. */
  readonly row: Tensor; // f32[1, dim]
}

/** out[i] = embedding[ids[i]];  out f32[n, dim], embedding [vocabSize, dim] in its pieces, n ids */
export function embed(out: Tensor, embedding: readonly EmbeddingPiece[], ids: readonly number[]): void {
  expectShape("embed: out", out, [ids.length, embedding[0]!.matrix.cols]);
  ids.forEach((id, i) => {
    const piece = embedding.findLast(({ firstRow }) => firstRow <= id);
    if (!Number.isInteger(id) || !piece || id >= piece.firstRow + piece.matrix.rows) {
      const rows = embedding.reduce((sum, { matrix }) => sum + matrix.rows, 0);
      throw new RangeError(`Cannot embed token ${id}: expected an id from 0 to ${rows - 1}`);
    }
    const { matrix, firstRow } = piece;
    const { stage, type, address, cols } = matrix;
    const wanted = out.rows(i, i + 1);
    const row = stage === out.stage ? wanted : piece.row;
    stage.kernels[`embed_${type}`](row.address, address, id - firstRow, cols);
    stage.checkGuards("embed");
    hop(wanted, row);
  });
}

/** out = x / rms(x) * weight;  out, x f32[n, dim], weight f32[dim] */
export function rmsnorm(out: Tensor, x: Tensor, weight: Tensor, eps: number): void {
  const stage = sameStage("rmsnorm", out, x, weight);
  const [n, dim] = x.shape as [number, number];
  expectShape("rmsnorm: out", out, [n, dim]);
  expectShape("rmsnorm: weight", weight, [dim]);
  stage.run(jobNumbers.rmsnorm, n, chunkOf(stage, n, 8 * dim), [
    out.address,
    x.address,
    weight.address,
    dim,
    eps,
  ]);
  stage.checkGuards("rmsnorm");
}

/**
 * outs[i] = weights[i] . x: several matrices that multiply one input. Neighbours of one type share its encoding, and are one job.
 * outs[i] holds n * rows floats, weights[i] [rows, cols], x n * cols floats; n is x's outermost dimension.
 */
export function matmul(outs: readonly Tensor[], weights: readonly Matrix[], x: Tensor): void {
  const stage = sameStage("matmul", x, ...outs, ...weights);
  const n = x.shape[0]!;
  weights.forEach((w, i) => {
    const out = outs[i]!;
    if (x.length !== n * w.cols || out.length !== n * w.rows) {
      throw new RangeError(
        `Cannot multiply: expected x of ${n} x ${w.cols} and out of ${n} x ${w.rows}, found ${x.length} and ${out.length} floats`,
      );
    }
  });
  for (let begin = 0, end = 0; begin < weights.length; begin = end) {
    const { type, cols } = weights[begin]!;
    while (weights[end]?.type === type && end - begin < MAX_JOB_MATRICES) end++;
    encode(stage, type, x, n, cols);
    multiply(stage, outs.slice(begin, end), weights.slice(begin, end), n);
  }
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
  const args = [region.address, x.address, cols, n, bytes];
  const units = Math.ceil(n / TILE);
  // four times the bytes of a float: it is read twice, rounded and written
  stage.run(jobNumbers[`encode_${type}`], units, chunkOf(stage, units, TILE * 16 * cols), args);
}

/** outs[i] = weights[i] . x for x as it is encoded: matrices of one type. */
function multiply(stage: Stage, outs: readonly Tensor[], weights: readonly Matrix[], n: number): void {
  const { type, cols } = weights[0]!;
  const bytes = encodedBytes(type, cols);
  const x = stage.plan.encoded.address;
  const rows = weights.reduce((sum, w) => sum + rowUnits(w.rows), 0);
  const bytesPerRow = packedBytes(type, 8, cols) / 8;
  const matrices = (position: number) =>
    weights.flatMap((w, i) => [outs[i]!.address + position * w.rows * 4, w.address, w.rows]);

  const tiles = Math.floor(n / TILE);
  if (tiles) {
    const args = [x, cols, tiles, TILE * bytes, ...matrices(0)];
    stage.run(jobNumbers[`matmul_${type}`], rows, chunkOf(stage, rows, bytesPerRow * TILE * tiles, 8), args);
  }
  for (let i = tiles * TILE; i < n; i++) {
    const args = [x + i * bytes, cols, ...matrices(i)];
    stage.run(jobNumbers[`matvec_${type}`], rows, chunkOf(stage, rows, bytesPerRow, 8), args);
  }
}

/** Rotates x in place;  x f32[n, heads, headDim] at positions `position` and on, table f32[contextLength, ropeDim / 2, 2] */
export function rope(x: Tensor, table: Tensor, position: number): void {
  const stage = sameStage("rope", x, table);
  const [n, heads, headDim] = x.shape as [number, number, number];
  const ropeDim = 2 * table.shape[1]!;
  const angles = table.rows(position, position + n);
  const args = [x.address, angles.address, heads, headDim, ropeDim];
  stage.run(jobNumbers.rope, n, chunkOf(stage, n, 8 * heads * headDim), args);
  stage.checkGuards("rope");
}

/**
 * cache[:, position + i] = x[i];  cache [nKvHeads, contextLength, headDim], x f32[n, nKvHeads, headDim]
 *
 * Throws NumericError for what the cache's type cannot hold.
 */
export function store(cache: KvCache, x: Tensor, position: number): void {
  const stage = sameStage("store", cache, x);
  const { type, heads, contextLength, headDim } = cache;
  const n = x.shape[0]!;
  expectShape("store: x", x, [n, heads, headDim]);
  expectPositions("store", position, n, contextLength);
  const kernel = stage.kernels[`cache_${type}`];
  const bad = kernel(cache.address, x.address, position, n, heads, headDim, contextLength);
  if (bad >= 0) {
    const expected = type === "f16" ? "numbers within 65,504" : "finite numbers";
    throw new NumericError(
      `Cannot keep the keys or values of position ${position + bad} as ${type}: expected ${expected}, found ${largest(x.rows(bad, bad + 1))}`,
    );
  }
  stage.checkGuards("store");
}

/** The value of largest magnitude, or the first NaN. */
function largest(x: Tensor): number {
  const nearer = (worst: number, value: number) => Number.isNaN(worst) || Math.abs(value) <= Math.abs(worst);
  return x.view().reduce((worst, value) => (nearer(worst, value) ? worst : value), 0);
}

/**
 * out[i] = softmax(q[i] . keys / sqrt(headDim)) values, over the positions up to position + i
 *
 * out, q f32[n, nHeads, headDim]; keys, values [nKvHeads, contextLength, headDim]
 */
export function attend(out: Tensor, q: Tensor, keys: KvCache, values: KvCache, position: number): void {
  const stage = sameStage("attend", out, q, keys, values);
  const [n, heads, headDim] = q.shape as [number, number, number];
  const { type, heads: kvHeads, contextLength } = keys;
  expectShape("attend: out", out, q.shape);
  for (const cache of [keys, values]) {
    const found = [cache.type, cache.heads, cache.contextLength, cache.headDim];
    if ([type, kvHeads, contextLength, headDim].some((value, i) => value !== found[i])) {
      throw new RangeError(
        `attend: expected keys and values of ${type}[${kvHeads}, ${contextLength}, ${headDim}], found ${cache.type}[${cache.heads}, ${cache.contextLength}, ${cache.headDim}]`,
      );
    }
  }
  expectPositions("attend", position, n, contextLength);
  const { attention } = stage.plan;
  const headsPerKv = heads / kvHeads;
  const scratchBytes = attention.bytes / stage.threads;
  if (!Number.isInteger(headsPerKv) || scratchBytes < attentionScratchBytes(headDim, contextLength)) {
    throw new RangeError(
      `attend: expected heads that ${kvHeads} kv heads divide and scratch of ${attentionScratchBytes(headDim, contextLength)} bytes for each thread, found ${heads} heads and ${scratchBytes} bytes`,
    );
  }
  const units = kvHeads * Math.ceil((n * headsPerKv) / 4);
  // keys and values of all positions; each is converted and used for four queries, which takes about twice as long as reading it
  const unitBytes = 2 * 2 * (position + n) * cacheRowBytes(type, headDim);
  const scale = 1 / Math.sqrt(headDim);
  stage.run(jobNumbers[`attention_${type}`], units, chunkOf(stage, units, unitBytes), [
    out.address,
    q.address,
    keys.address,
    values.address,
    attention.address,
    scratchBytes,
    heads,
    headsPerKv,
    headDim,
    contextLength,
    position,
    n,
    scale,
  ]);
  stage.checkGuards("attend");
}

/** gate = silu(gate) * up;  both f32[n, hiddenDim] */
export function siluMul(gate: Tensor, up: Tensor): void {
  const stage = sameStage("siluMul", gate, up);
  expectShape("siluMul: up", up, gate.shape);
  // four times the bytes: it takes an exp and a division
  stage.run(jobNumbers.siluMul, gate.length, chunkOf(stage, gate.length, 4 * 12, 16), [
    gate.address,
    up.address,
  ]);
  stage.checkGuards("siluMul");
}

/** x += delta;  both f32[n, dim] */
export function add(x: Tensor, delta: Tensor): void {
  const stage = sameStage("add", x, delta);
  expectShape("add: delta", delta, x.shape);
  stage.run(jobNumbers.add, x.length, chunkOf(stage, x.length, 12, 16), [x.address, delta.address]);
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
  first: Tensor | Matrix | KvCache,
  ...others: readonly (Tensor | Matrix | KvCache)[]
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
