import type { Checkpoint, MetadataValue, ModelConfig, Vocabulary } from "./checkpoint.js";
import type { GgufValue } from "./gguf-writer.js";
import type { OutputType } from "./output-type.js";

/** `general.file_type`: the type of most matrices. Source: enum llama_ftype in llama.h. */
const fileTypes: Partial<Record<OutputType, number>> = {
  F32: 0,
  F16: 1,
  Q4_0: 2,
  Q4_1: 3,
  Q8_0: 7,
  Q5_0: 8,
  Q3_K: 12, // as in Q3_K_M, which differs in the mix only; likewise the next two
  Q4_K: 15,
  Q5_K: 17,
  Q6_K: 18,
  IQ4_NL: 25,
  BF16: 32,
};

/** Of the blocks' layouts, since 2023. */
const quantizationVersion = 2;

const text = (value: string): GgufValue => ({ type: "string", value });
const u32 = (value: number): GgufValue => ({ type: "u32", value });
const f32 = (value: number): GgufValue => ({ type: "f32", value });
const bool = (value: boolean): GgufValue => ({ type: "bool", value });

/**
 * The metadata of a GGUF with this model: all that its own has, if it was one, else what llama.cpp asks of a llama.
 *
 * @param vocabulary in place of the checkpoint's own; without any, the file says that it has none
 * @param type of most matrices
 */
export function ggufMetadata(
  checkpoint: Checkpoint,
  vocabulary: Vocabulary | undefined,
  type: OutputType,
): Map<string, GgufValue> {
  const { metadata, metadataTypes, config, special } = checkpoint;
  const entries = new Map<string, GgufValue>();
  const isGguf = metadataTypes !== undefined;
  if (!isGguf) for (const entry of Object.entries(configMetadata(config))) entries.set(...entry);
  for (const [key, value] of metadata)
    entries.set(key, { type: metadataTypes?.get(key) ?? typeOf(value), value });
  entries.delete("general.alignment"); // the writer's own is the default
  const fileType = fileTypes[type];
  if (fileType !== undefined) entries.set("general.file_type", u32(fileType));
  entries.set("general.quantization_version", u32(quantizationVersion));
  const asked = vocabulary && { ...vocabulary, ...special };
  if (asked) for (const entry of Object.entries(vocabularyMetadata(asked))) entries.set(...entry);
  else if (!isGguf) entries.set("tokenizer.ggml.model", text("none"));
  return entries;
}

/** GGUF's type of a value that has none: texts are all there are. */
function typeOf(value: MetadataValue): string {
  if (typeof value === "string") return "string";
  throw new TypeError(`Cannot write a GGUF: expected metadata with types, or texts, found ${typeof value}`);
}

/** Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
function configMetadata(config: ModelConfig): Record<string, GgufValue> {
  return {
    "general.architecture": text("llama"),
    "llama.vocab_size": u32(config.vocabSize),
    "llama.context_length": u32(config.contextLength),
    "llama.embedding_length": u32(config.dim),
    "llama.block_count": u32(config.nLayers),
    "llama.feed_forward_length": u32(config.hiddenDim),
    "llama.attention.head_count": u32(config.nHeads),
    "llama.attention.head_count_kv": u32(config.nKvHeads),
    "llama.attention.key_length": u32(config.headDim),
    "llama.attention.value_length": u32(config.headDim),
    "llama.attention.layer_norm_rms_epsilon": f32(config.normEps),
    "llama.rope.dimension_count": u32(config.ropeDim),
    "llama.rope.freq_base": f32(config.ropeBase),
  };
}

function vocabularyMetadata(vocabulary: Vocabulary): Record<string, GgufValue> {
  const { model, tokens, scores, types, bos, eos, eot, unk, addBos, addEos, addSpacePrefix } = vocabulary;
  const id = (name: string, value: number | undefined) =>
    value === undefined ? {} : { [`tokenizer.ggml.${name}_token_id`]: u32(value) };
  const flag = (name: string, value: boolean | undefined) =>
    value === undefined ? {} : { [`tokenizer.ggml.${name}`]: bool(value) };
  return {
    "tokenizer.ggml.model": text(model),
    "tokenizer.ggml.tokens": { type: "string[]", value: tokens },
    ...(scores && { "tokenizer.ggml.scores": { type: "f32[]", value: scores } }),
    ...(types && { "tokenizer.ggml.token_type": { type: "i32[]", value: types } }),
    ...id("bos", bos),
    ...id("eos", eos),
    ...id("unknown", unk),
    ...id("eot", eot),
    ...flag("add_bos_token", addBos),
    ...flag("add_eos_token", addEos),
    ...flag("add_space_prefix", addSpacePrefix),
  };
}
