import type { Tokenizer } from "../../tokenizer/index.js";
import { checkNames } from "../check-options.js";
import type { Checkpoint, TensorInfo, Vocabulary } from "../formats/checkpoint.js";
import { defined } from "../formats/defined.js";
import { type GgufOutputTensor, type Sink, writeGguf } from "../formats/gguf-writer.js";
import { ggufMetadata } from "../formats/llama-metadata.js";
import { openCheckpoint } from "../formats/open.js";
import { classifierOf, type OutputType, outputType } from "../formats/output-type.js";
import { type QuantizedType, quantizedTypes } from "../formats/quantize.js";
import { ErrorSum, readRowsAs, type WeightErrors } from "../formats/requantize.js";
import type { Source } from "../formats/source.js";
import { createProgress, type Progress } from "../progress.js";
import { findTokenizerBeside, fitting, readTokenizer } from "./open-model-tokenizer.js";
import { openSource, type SourceLike } from "./sources.js";

/** The types that `convert` writes, by ggml's names. */
export type ConvertType = Lowercase<QuantizedType>;

/** How `convert` writes a model. */
export interface ConvertOptions {
  /** What every matrix becomes, as far as its rows allow. Default: each keeps its type. */
  readonly type?: ConvertType | undefined;
  /** The vocabulary to write. Default: the model's own, or that of the tokenizer file beside it. */
  readonly tokenizer?: SourceLike | undefined;
  /** Told of bytes written, of all of the new file. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** Ends the conversion; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** What became of a tensor. */
export interface ConvertedTensor {
  /** GGUF's name, such as `blk.0.attn_q.weight`. */
  readonly name: string;
  /** Outermost dimension first. */
  readonly shape: readonly number[];
  /** The type it had, by ggml's name: "F16". */
  readonly from: string;
  /** The type it has been written in. */
  readonly to: string;
  /** How far the new weights are from the old ones; undefined where they are the same bits, or wider ones. */
  readonly errors: WeightErrors | undefined;
}

/** What `convert` has written. */
export interface Conversion {
  /** In the order of the file. */
  readonly tensors: readonly ConvertedTensor[];
  /** The new file's size. */
  readonly bytes: number;
  /** Whether the new file has a vocabulary. It has none where the model has none and no tokenizer lies beside it. */
  readonly hasVocabulary: boolean;
}

const optionNames = [
  "type",
  "tokenizer",
  "onProgress",
  "signal",
] as const satisfies readonly (keyof ConvertOptions)[];

/**
 * Writes any model that `load` reads as one GGUF, quantized if asked: header first, then a few rows at a time, so that memory holds a
 * few megabytes whatever the model's size. Vectors are always written as F32. A GGUF keeps its metadata.
 *
 * Throws TypeError for wrong options, NumericError for weights that are no numbers, an UnsupportedTokenizerError for a tokenizer
 * that a GGUF's vocabulary cannot say, what opening a model throws, and what the sink throws. The sink then holds part of a file.
 */
export async function convert(
  from: SourceLike,
  sink: Sink,
  options: ConvertOptions = {},
): Promise<Conversion> {
  checkNames("convert", options, optionNames);
  const { onProgress, signal } = options;
  const type = typeNamed(options.type);
  signal?.throwIfAborted();
  const source = await openSource(from, signal);
  try {
    const checkpoint = await openCheckpoint(source);
    const vocabulary = await findVocabulary(checkpoint, source, options);
    const errors = new Map<string, ErrorSum>();
    const tensors = outputTensors(checkpoint, type, errors);
    const metadata = ggufMetadata(checkpoint, vocabulary, type ?? commonType(checkpoint));
    let report: ReturnType<typeof createProgress> | undefined;
    const bytes = await writeGguf(sink, metadata, tensors, {
      signal,
      onProgress(written, total) {
        report ??= createProgress("write", total, onProgress);
        report(written);
      },
    });
    await source.verify?.();
    return {
      tensors: tensors.map(({ name, shape, type }) => {
        const { type: stored, storedAs } = checkpoint.tensors.get(name)!;
        return { name, shape, from: storedAs ?? stored, to: type, errors: errors.get(name)?.result() };
      }),
      bytes,
      hasVocabulary: vocabulary !== undefined || checkpoint.vocabulary !== undefined,
    };
  } finally {
    await source.close();
  }
}

function typeNamed(name: unknown): QuantizedType | undefined {
  if (name === undefined) return undefined;
  const type = quantizedTypes.find((type) => type.toLowerCase() === name);
  if (type) return type;
  const known = quantizedTypes.map((type) => type.toLowerCase()).join(", ");
  throw new TypeError(`Cannot convert: expected type to be one of ${known}, found ${String(name)}`);
}

/** The model's tensors in their new types. Errors are added up under their names while rows are read. */
function outputTensors(
  checkpoint: Checkpoint,
  asked: QuantizedType | undefined,
  sums: Map<string, ErrorSum>,
): GgufOutputTensor[] {
  const classifier = classifierOf(checkpoint);
  return [...checkpoint.tensors.values()].map((tensor): GgufOutputTensor => {
    const type = newType(tensor, asked, classifier);
    const loses = type !== tensor.type && type !== "F32";
    const errors = loses ? new ErrorSum() : undefined;
    if (errors) sums.set(tensor.name, errors);
    return {
      name: tensor.name,
      shape: tensor.shape,
      type,
      rows: (begin, end) => readRowsAs(checkpoint, tensor, type, { begin, end, ...(errors && { errors }) }),
    };
  });
}

function newType(tensor: TensorInfo, asked: QuantizedType | undefined, classifier: string): OutputType {
  if (asked) return outputType(tensor, asked, classifier);
  return tensor.shape.length === 1 ? "F32" : tensor.type;
}

/** The type of most weights. */
function commonType({ tensors }: Checkpoint): OutputType {
  const bytes = new Map<OutputType, number>();
  for (const { type, bytes: size } of tensors.values()) bytes.set(type, (bytes.get(type) ?? 0) + size);
  return [...bytes].reduce((most, entry) => (entry[1] > most[1] ? entry : most))[0];
}

/** The vocabulary to write; undefined where the model's own stays or there is none. */
async function findVocabulary(
  checkpoint: Checkpoint,
  source: Source,
  { tokenizer: asked, signal }: ConvertOptions,
): Promise<Vocabulary | undefined> {
  const model = { name: checkpoint.source.name, vocabSize: checkpoint.config.vocabSize };
  if (asked === undefined) {
    if (checkpoint.vocabulary) return undefined;
    const beside = await findTokenizerBeside(source, model.vocabSize);
    return beside && vocabularyOf(fitting(beside, `beside ${source.name}`, model));
  }
  const file = await openSource(asked, signal);
  try {
    return vocabularyOf(fitting(await readTokenizer(file), file.name, model));
  } finally {
    await file.close();
  }
}

function vocabularyOf(tokenizer: Tokenizer): Vocabulary {
  const { model, tokens, ...optional } = tokenizer.vocabulary();
  return { model, tokens, addBos: true, addEos: false, ...defined(optional) };
}
