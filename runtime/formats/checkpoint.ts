import type { Source } from "./source.js";
import type { TensorType } from "./tensor-types.js";

/** The shape of a Llama. Field names follow the paper and llama2.c; GGUF's keys are given in gguf-checkpoint.ts. */
export interface ModelConfig {
  /** Width of the residual stream. */
  readonly dim: number;
  /** Width of the feed-forward layer. */
  readonly hiddenDim: number;
  /** Transformer blocks. */
  readonly nLayers: number;
  /** Query heads. */
  readonly nHeads: number;
  /** Key/value heads; divides nHeads (grouped-query attention when smaller). */
  readonly nKvHeads: number;
  /** Width of one head; even. */
  readonly headDim: number;
  /** nKvHeads * headDim: the width of a position's keys, and of its values. */
  readonly kvDim: number;
  /** Leading dimensions of each head that RoPE rotates; even, at most headDim. */
  readonly ropeDim: number;
  /** Base of RoPE's frequencies (theta), 10000 in Llama 2. */
  readonly ropeBase: number;
  /** Epsilon of RMSNorm. */
  readonly normEps: number;
  /** Tokens, and so logits: ids run from 0 to vocabSize - 1. */
  readonly vocabSize: number;
  /** Positions the model was trained on. */
  readonly contextLength: number;
}

/** One tensor of the directory. */
export interface TensorInfo {
  /** GGUF's name, such as `blk.0.attn_q.weight`, whatever the file's own format. */
  readonly name: string;
  /** Outermost dimension first: [rows, cols], or [cols] for a vector. (GGUF writes them the other way round.) */
  readonly shape: readonly number[];
  /** The type of the bytes that Checkpoint.readRows delivers. */
  readonly type: TensorType;
  /** What the file stores, where that differs from `type` (llama2.c's int8 groups are delivered as F32). */
  readonly storedAs?: string;
  /** Where it starts in the file. */
  readonly offset: number;
  /** Bytes it occupies in the file. */
  readonly bytes: number;
}

/** A value from a file's metadata; arrays of numbers are typed arrays, nested arrays are arrays of values. */
export type MetadataValue =
  | string
  | number
  | bigint
  | boolean
  | ArrayLike<number>
  | ArrayLike<bigint>
  | readonly MetadataValue[];

/**
 * A vocabulary as a GGUF carries it: plain data, from which the tokenizer is made elsewhere. It may be incomplete
 * (random test models have no scores); whether it makes a tokenizer is for the tokenizer to say.
 */
export interface Vocabulary {
  /** `tokenizer.ggml.model`: "llama" is SentencePiece BPE. */
  readonly model: string;
  readonly tokens: readonly string[];
  readonly scores?: ArrayLike<number>;
  /** SentencePiece's piece types: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte. */
  readonly types?: ArrayLike<number>;
  readonly bos?: number;
  readonly eos?: number;
  readonly unk?: number;
  /** End of turn, in chat models. */
  readonly eot?: number;
  readonly addBos?: boolean;
  readonly addEos?: boolean;
  readonly addSpacePrefix?: boolean;
}

/** An opened model file, whatever its format: its tensors exist, have the shapes its config asks for, and no others are there. */
export interface Checkpoint {
  /** The container, for people: "GGUF v3", "llama2.c v0". */
  readonly format: string;
  readonly architecture: "llama";
  readonly config: ModelConfig;
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  /** The type that each of these has in the file, where that says so: GGUF's types, such as `u32` and `string[]`. */
  readonly metadataTypes?: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Undefined where the tokenizer is a file of its own (llama2.c), or the GGUF has none. */
  readonly vocabulary: Vocabulary | undefined;
  /** Ids that generation begins with and stops at, by the file or by its format's convention. */
  readonly special: { readonly bos?: number; readonly eos?: number; readonly eot?: number };
  readonly source: Source;
  /** Rows [begin, end) of a tensor in its type's file layout; a vector is one row. They may be put `into` an array that holds as many, as Source.read does it. */
  readRows(tensor: TensorInfo, begin: number, end: number, into?: Uint8Array): Promise<Uint8Array>;
}
