import { closeSync, existsSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Vocabulary } from "../runtime/formats/checkpoint.js";
import { openGguf } from "../runtime/formats/gguf.js";
import { readVocabulary } from "../runtime/formats/gguf-vocabulary.js";
import { llamaTensors } from "../runtime/formats/llama-tensors.js";
import { fileSource } from "../runtime/formats/source.js";
import { rowBytes, type TensorType, tensorTypes } from "../runtime/formats/tensor-types.js";
import { createRandom } from "../runtime/sampling/random.js";
import { quantize } from "../test/quantize.js";
import { normalNumbers } from "../test/random-model.js";
import { llamaMetadata, padded, plainVocabulary, writeGgufHeader } from "../test/write-gguf.js";
import { type FileType, type Shape, tensorTypeIn } from "./shapes.js";

export interface SyntheticModel {
  /** What the file calls itself. */
  readonly name: string;
  readonly shape: Shape;
  readonly type: FileType;
  readonly vocabulary: Vocabulary;
  readonly seed: number;
}

/** Weights that are drawn, and quantized for each type and deviation; a matrix is put together from runs of them. */
const POOL_WEIGHTS = 2 ** 18;
/** Weights of a run. It begins at a block by chance, so that of 32,000 rows of eight runs no two are alike. */
const RUN_WEIGHTS = 256;
const WRITE_BYTES = 2 ** 23;
/** GGUF's default. */
const ALIGNMENT = 32;

/**
 * Writes a GGUF with random weights, which llama.cpp loads as well: matrices normal with deviation 1/sqrt(cols), so that
 * activations keep their size and logits have a deviation of about 1; norms around 1; an embedding of deviation 1, or with a tied
 * classifier like the other matrices. The same model is the same bytes. The file is there once it is whole.
 *
 * @returns its size in bytes
 */
export function writeSyntheticModel(path: string, model: SyntheticModel): number {
  const { config, tied } = model.shape;
  const tensors = tensorsOf(model);
  const header = writeGgufHeader({
    metadata: {
      ...llamaMetadata(config, model.vocabulary),
      "general.name": { type: "string", value: model.name },
    },
    tensors,
  });

  const partial = `${path}.${process.pid}.partial`;
  const writer = createWriter(partial);
  try {
    writer.write(header);
    const weights = createWeights(model.seed);
    for (const { name, shape, type, bytes } of tensors) {
      const cols = shape.at(-1)!;
      const deviation = name === "token_embd.weight" && !tied ? 1 : 1 / Math.sqrt(cols);
      if (shape.length === 1) writer.write(weights.norm(cols));
      else for (const run of weights.matrix(type, deviation, bytes.length)) writer.write(run);
      writer.write(new Uint8Array(padded(bytes.length, ALIGNMENT) - bytes.length));
    }
    const size = writer.close();
    renameSync(partial, path);
    return size;
  } catch (error) {
    writer.abandon();
    throw error;
  }
}

/** Llama 2's vocabulary where it is at hand and of this size; else one that is made up. */
export async function vocabularyOf(size: number): Promise<Vocabulary> {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const path = `${root}../shared/data/tokenizers/llama2/ggml-vocab-llama-spm.gguf`;
  if (size !== 32_000 || !existsSync(path)) return plainVocabulary(size);
  const source = await fileSource(path);
  try {
    return readVocabulary(await openGguf(source), size).vocabulary!;
  } finally {
    await source.close();
  }
}

/** The directory, in the order of the data. Throws RangeError where a type's blocks do not divide a row. */
function tensorsOf({ shape: model, type: file }: SyntheticModel) {
  return [...llamaTensors(model.config, { tied: model.tied })].map(([name, shape]) => {
    const type = tensorTypeIn(file, name, model);
    const cols = shape.at(-1)!;
    const { blockSize } = tensorTypes[type];
    if (cols % blockSize !== 0) {
      throw new RangeError(
        `Cannot make a ${file} model: ${name}: expected a multiple of ${blockSize} columns, as ${type} needs, found ${cols}`,
      );
    }
    const rows = shape.length === 1 ? 1 : shape[0]!;
    return { name, shape, type, bytes: { length: rows * rowBytes(type, cols) } };
  });
}

function createWeights(seed: number) {
  const random = createRandom(seed);
  const normal = normalNumbers(random);
  const drawn = Float32Array.from({ length: POOL_WEIGHTS }, normal);
  const pools = new Map<string, Uint8Array>();

  /** Quantized when it is first asked for. */
  function pool(type: TensorType, deviation: number): Uint8Array {
    const key = `${type} ${deviation}`;
    let bytes = pools.get(key);
    if (!bytes) {
      bytes = quantize(
        type,
        drawn.map((weight) => deviation * weight),
      );
      pools.set(key, bytes);
    }
    return bytes;
  }

  return {
    norm: (length: number) =>
      quantize(
        "F32",
        Float32Array.from({ length }, () => 1 + 0.2 * normal()),
      ),
    *matrix(type: TensorType, deviation: number, length: number): Generator<Uint8Array> {
      const bytes = pool(type, deviation);
      const { blockBytes } = tensorTypes[type];
      const runBytes = rowBytes(type, RUN_WEIGHTS);
      const starts = (bytes.length - runBytes) / blockBytes + 1;
      for (let left = length; left > 0; left -= runBytes) {
        const start = Math.floor(random() * starts) * blockBytes;
        yield bytes.subarray(start, start + Math.min(runBytes, left));
      }
    },
  };
}

/** Collects small writes into large ones. */
function createWriter(path: string) {
  const file = openSync(path, "wx");
  const buffer = new Uint8Array(WRITE_BYTES);
  let filled = 0;
  let size = 0;
  const flush = (bytes: Uint8Array) => {
    for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
  };
  return {
    write(bytes: Uint8Array): void {
      size += bytes.length;
      if (filled + bytes.length > buffer.length) {
        flush(buffer.subarray(0, filled));
        filled = 0;
      }
      if (bytes.length > buffer.length) {
        flush(bytes);
      } else {
        buffer.set(bytes, filled);
        filled += bytes.length;
      }
    },
    /** @returns the bytes that were written */
    close(): number {
      flush(buffer.subarray(0, filled));
      closeSync(file);
      return size;
    },
    /** Nothing of it is left. */
    abandon(): void {
      try {
        closeSync(file);
      } catch {
        // close() had come to that
      }
      rmSync(path, { force: true });
    },
  };
}
