import { UnsupportedError } from "../errors.js";
import type { ModelConfig } from "./checkpoint.js";
import type { Gguf } from "./gguf.js";
import { booleanAt, integerAt, modelError, numberAt, numbersAt, stringAt, stringsAt } from "./gguf-values.js";
import { type ConfigNames, configProblem } from "./model-config.js";

/** GGUF's keys of the config. Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
const keys: ConfigNames = {
  dim: "llama.embedding_length",
  hiddenDim: "llama.feed_forward_length",
  nLayers: "llama.block_count",
  nHeads: "llama.attention.head_count",
  nKvHeads: "llama.attention.head_count_kv",
  headDim: "llama.attention.key_length",
  ropeDim: "llama.rope.dimension_count",
  ropeBase: "llama.rope.freq_base",
  normEps: "llama.attention.layer_norm_rms_epsilon",
  vocabSize: "llama.vocab_size",
  contextLength: "llama.context_length",
};

/**
 * Keys that change what a Llama computes, which is nothing that this runtime does, with the values at which they
 * change nothing: those are found in ordinary files. A scale of 0 is llama.cpp's "not given".
 */
const neutralValues: Readonly<Record<string, readonly (number | string | boolean)[]>> = {
  "llama.attention.causal": [true],
  "llama.attention.clamp_kqv": [0],
  "llama.attention.max_alibi_bias": [0],
  "llama.attention.scale": [0],
  "llama.attention.sliding_window": [0],
  "llama.attn_logit_softcapping": [0],
  "llama.embedding_scale": [0, 1],
  "llama.expert_count": [0],
  "llama.expert_feed_forward_length": [0],
  "llama.expert_shared_count": [0],
  "llama.expert_used_count": [0],
  "llama.final_logit_softcapping": [0],
  "llama.logit_scale": [0, 1],
  "llama.residual_scale": [0, 1],
  "llama.rope.scale_linear": [0, 1], // older files' name of rope.scaling.factor
  "llama.rope.scaling.attn_factor": [0, 1],
  "llama.rope.scaling.factor": [0, 1],
  "llama.rope.scaling.type": ["none", "linear"], // linear by a factor of 1, or of none
  "llama.use_parallel_residual": [false],
};

/** Keys that say nothing about a plain Llama's text, whatever their value. */
const ignoredKeys: ReadonlySet<string> = new Set([
  "llama.attention.layer_norm_epsilon", // of the other kind of norm, which a Llama does not have
  "llama.attention.value_length", // read with key_length
  "llama.pooling_type", // for embeddings of texts
  "llama.rope.scaling.finetuned", // these two belong to a scaling that is refused by its type
  "llama.rope.scaling.original_context_length",
  "llama.tensor_data_layout", // "Meta AI original pth": always so for llama
]);

/**
 * The config of a GGUF's Llama.
 *
 * @throws UnsupportedError for what this runtime does not compute, also for keys of the architecture that it does not
 *   know: to pass over one could mean wrong text
 * @throws ModelError for a config that is missing, of the wrong type, or impossible
 */
export function readConfig(gguf: Gguf): ModelConfig {
  checkFeatures(gguf);
  const required = (key: string, value: number | undefined): number => {
    if (value === undefined) throw modelError(gguf, `${key}: expected a number, the file has no such key`);
    return value;
  };

  const nLayers = required(keys.nLayers, integerAt(gguf, keys.nLayers));
  const dim = required(keys.dim, integerAt(gguf, keys.dim));
  const nHeads = required(keys.nHeads, perLayerAt(gguf, keys.nHeads, nLayers));
  const nKvHeads = perLayerAt(gguf, keys.nKvHeads, nLayers) ?? nHeads;
  const headDim = integerAt(gguf, keys.headDim) ?? dim / nHeads;
  const config: ModelConfig = {
    dim,
    hiddenDim: required(keys.hiddenDim, perLayerAt(gguf, keys.hiddenDim, nLayers)),
    nLayers,
    nHeads,
    nKvHeads,
    headDim,
    kvDim: nKvHeads * headDim,
    ropeDim: integerAt(gguf, keys.ropeDim) ?? headDim,
    ropeBase: numberAt(gguf, keys.ropeBase) ?? 10000,
    normEps: required(keys.normEps, numberAt(gguf, keys.normEps)),
    vocabSize: required(keys.vocabSize, vocabSizeOf(gguf)),
    contextLength: required(keys.contextLength, integerAt(gguf, keys.contextLength)),
  };
  const problem = configProblem(config, keys);
  if (problem) throw modelError(gguf, problem);

  const valueLength = integerAt(gguf, "llama.attention.value_length") ?? headDim;
  if (valueLength !== headDim) {
    throw unsupported(gguf, `heads whose values (${valueLength}) are not as wide as their keys (${headDim})`);
  }
  return config;
}

/** The key, or where the file has none the number of tokens, or the embedding's rows. */
function vocabSizeOf(gguf: Gguf): number | undefined {
  return (
    integerAt(gguf, keys.vocabSize) ??
    stringsAt(gguf, "tokenizer.ggml.tokens")?.length ??
    gguf.tensors.get("token_embd.weight")?.shape[0]
  );
}

/** A number that a file may give for each layer; a plain Llama's layers are all alike. */
function perLayerAt(gguf: Gguf, key: string, nLayers: number): number | undefined {
  if (!gguf.metadataTypes.get(key)?.endsWith("[]")) return integerAt(gguf, key);
  const numbers = Array.from(numbersAt(gguf, key)!);
  if (numbers.length !== nLayers) {
    throw modelError(
      gguf,
      `${key}: expected one number for each of ${nLayers} layers, found ${numbers.length}`,
    );
  }
  const other = numbers.find((number) => number !== numbers[0]);
  if (other !== undefined) throw unsupported(gguf, `layers that differ (${key}: ${numbers[0]} and ${other})`);
  return numbers[0];
}

function checkFeatures(gguf: Gguf): void {
  for (const [key, value] of gguf.metadata) {
    if (!key.startsWith("llama.") || ignoredKeys.has(key) || Object.values(keys).includes(key)) continue;
    if (!Object.hasOwn(neutralValues, key)) {
      throw new UnsupportedError(
        `Cannot load ${gguf.source.name}: ${key}: this key is not known here, and to pass over it could mean wrong text`,
      );
    }
    const neutral = neutralValues[key]!;
    const found =
      typeof neutral[0] === "boolean"
        ? booleanAt(gguf, key)
        : typeof neutral[0] === "string"
          ? stringAt(gguf, key)
          : numberAt(gguf, key);
    if (!neutral.includes(found!)) throw unsupported(gguf, `${key} ${String(value)}`);
  }
}

function unsupported(gguf: Gguf, what: string): UnsupportedError {
  return new UnsupportedError(`Cannot load ${gguf.source.name}: ${what} is not supported`);
}
