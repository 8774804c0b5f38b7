import type { Checkpoint } from "../runtime/formats/checkpoint.js";
import { tensorData } from "./write-gguf.js";

/** One tensor of a safetensors file. */
export interface SafetensorsData {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly bytes: Uint8Array;
}

/** The bytes of a safetensors file with these tensors, in their order. */
export function writeSafetensors(tensors: readonly SafetensorsData[]): Uint8Array {
  let end = 0;
  const header = Object.fromEntries(
    tensors.map(({ name, shape, dtype, bytes }) => {
      const begin = end;
      end += bytes.length;
      return [name, { dtype, shape, data_offsets: [begin, end] }];
    }),
  );
  return safetensorsFile(JSON.stringify(header), ...tensors.map(({ bytes }) => bytes));
}

/** A safetensors file of this header, whatever it says, and data. */
export function safetensorsFile(header: string, ...data: readonly Uint8Array[]): Uint8Array {
  const json = new TextEncoder().encode(header);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(json.length), true);
  return Uint8Array.from(Buffer.concat([length, json, ...data]));
}

/** What a folder in Hugging Face's form holds, by the files' names. */
export type FolderFiles = Record<string, Uint8Array>;

/** A float checkpoint as the transformers library would save it, in one file; with changes to its config.json. */
export async function huggingFaceFolder(
  checkpoint: Checkpoint,
  changes: Record<string, unknown> = {},
): Promise<FolderFiles> {
  return {
    "config.json": jsonBytes({ ...huggingFaceConfig(checkpoint), ...changes }),
    "model.safetensors": writeSafetensors(await huggingFaceTensors(checkpoint)),
  };
}

export function jsonBytes(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

/** The keys that `LlamaConfig` has. */
export function huggingFaceConfig({ config, tensors }: Checkpoint): Record<string, unknown> {
  return {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    hidden_act: "silu",
    hidden_size: config.dim,
    intermediate_size: config.hiddenDim,
    num_hidden_layers: config.nLayers,
    num_attention_heads: config.nHeads,
    num_key_value_heads: config.nKvHeads,
    head_dim: config.headDim,
    vocab_size: config.vocabSize,
    max_position_embeddings: config.contextLength,
    rms_norm_eps: config.normEps,
    rope_theta: config.ropeBase,
    rope_scaling: null,
    tie_word_embeddings: !tensors.has("output.weight"),
    torch_dtype: "float32",
  };
}

export async function huggingFaceTensors(checkpoint: Checkpoint): Promise<SafetensorsData[]> {
  const { headDim } = checkpoint.config;
  return (await tensorData(checkpoint)).map(({ name, shape, type, bytes }) => ({
    name: huggingFaceName(name),
    shape: shape as number[],
    dtype: type as string,
    bytes: /attn_[qk]\./.test(name) ? halfSplit(bytes, Number(shape[0]), headDim) : bytes,
  }));
}

export function huggingFaceName(name: string): string {
  return name
    .replace(/^blk/, "model.layers")
    .replace("token_embd", "model.embed_tokens")
    .replace("output_norm", "model.norm")
    .replace(/^output/, "lm_head")
    .replace("attn_norm", "input_layernorm")
    .replace("ffn_norm", "post_attention_layernorm")
    .replace("attn_output", "self_attn.o_proj")
    .replace(/attn_([qkv])/, "self_attn.$1_proj")
    .replace(/ffn_(gate|up|down)/, "mlp.$1_proj");
}

/**
 * The rows of each head, first the even ones, then the odd: `w.view(heads, headDim / 2, 2, cols).transpose(1, 2)` in transformers'
 * convert_llama_weights_to_hf.py.
 */
function halfSplit(bytes: Uint8Array, rows: number, headDim: number): Uint8Array {
  const stride = bytes.length / rows;
  const order = Array.from({ length: rows }, (_, row) => row);
  const heads = Array.from({ length: rows / headDim }, (_, head) =>
    order.slice(head * headDim, (head + 1) * headDim),
  );
  const permuted = heads.flatMap((head) => [
    ...head.filter((_, i) => i % 2 === 0),
    ...head.filter((_, i) => i % 2 === 1),
  ]);
  return Uint8Array.from(permuted.flatMap((row) => [...bytes.subarray(row * stride, (row + 1) * stride)]));
}
