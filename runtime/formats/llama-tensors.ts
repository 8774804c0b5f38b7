import { ModelError, UnsupportedError } from "../errors.js";
import type { ModelConfig, TensorInfo } from "./checkpoint.js";
import { isComputable } from "./ggml-types.js";
import type { Source } from "./source.js";
import { rowBytes, type TensorType, tensorTypes } from "./tensor-types.js";

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

/** A tensor as a file's directory has it: of any name and type. */
export interface StoredTensor {
  readonly name: string;
  /** Outermost dimension first. */
  readonly shape: readonly number[];
  readonly type: string;
  /** Where it starts, from the beginning of the source. */
  readonly offset: number;
  readonly bytes: number;
}

/** A model's directory, to be checked against its config. */
export interface Directory {
  /** What errors call the model. */
  readonly sourceName: string;
  readonly stored: ReadonlyMap<string, StoredTensor>;
  /** What the directory calls the tensor that GGUF calls so. */
  readonly storedName: (name: string) => string;
  readonly tied: boolean;
  /** What a tensor that a plain Llama does not have belongs to, where its name tells. */
  readonly featureOf: (storedName: string) => string | undefined;
}

/** Norms are applied in f32. */
const vectorTypes: readonly TensorType[] = ["F32", "F16", "BF16"];

/**
 * The directory's tensors by GGUF's names: each that the config asks for is there in its shape and a type we compute with, and
 * there is no other.
 *
 * @throws ModelError for a tensor that is missing or of another shape
 * @throws UnsupportedError for one of a type that is not computed with, and for one that a Llama does not have
 */
export function bindTensors(config: ModelConfig, directory: Directory): Map<string, TensorInfo> {
  const { sourceName, stored, storedName, tied, featureOf } = directory;
  const expected = llamaTensors(config, { tied });
  const known = new Set([...expected.keys()].map(storedName));
  for (const name of stored.keys()) {
    if (known.has(name)) continue;
    const feature = featureOf(name);
    const why = feature
      ? `${feature} is not supported`
      : `a Llama of ${config.nLayers} layers has no such tensor, and to pass over it could mean wrong text`;
    throw new UnsupportedError(`Cannot load ${sourceName}: ${name}: ${why}`);
  }
  const tensors = new Map<string, TensorInfo>();
  for (const [name, shape] of expected) {
    const tensor = stored.get(storedName(name));
    const found = tensor ? `found [${tensor.shape.join(", ")}]` : "the file has no such tensor";
    if (!tensor || !isSameShape(tensor.shape, shape)) {
      throw new ModelError(
        `Cannot load ${sourceName}: ${storedName(name)}: expected [${shape.join(", ")}], ${found}`,
      );
    }
    tensors.set(name, { ...tensor, name, type: computableType(sourceName, tensor) });
  }
  return tensors;
}

function isSameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i]);
}

function computableType(sourceName: string, { name, type, shape }: StoredTensor): TensorType {
  const possible = shape.length === 1 ? vectorTypes : Object.keys(tensorTypes);
  if (isComputable(type) && possible.includes(type)) return type;
  throw new UnsupportedError(
    `Cannot load ${sourceName}: ${name}: ${type} is not supported here, ${possible.join(", ")} are`,
  );
}

/** Rows [begin, end) of a tensor that lies in the source row after row. */
export async function readStoredRows(
  source: Source,
  { name, shape, type, offset }: TensorInfo,
  begin: number,
  end: number,
  into?: Uint8Array,
): Promise<Uint8Array> {
  checkRows(name, shape, begin, end);
  const stride = rowBytes(type, shape.at(-1)!);
  return source.read(offset + begin * stride, offset + end * stride, into);
}
