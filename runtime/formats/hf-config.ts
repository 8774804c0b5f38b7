import { ModelError, UnsupportedError } from "../errors.js";
import type { ModelConfig } from "./checkpoint.js";
import { type ConfigNames, configProblem } from "./model-config.js";
import { isJsonArray, isJsonObject, type JsonObject, type JsonValue, kindOf } from "./strict-json.js";

/** Hugging Face's keys of the config. Source: `LlamaConfig` in the transformers library. */
const keys: ConfigNames = {
  dim: "hidden_size",
  hiddenDim: "intermediate_size",
  nLayers: "num_hidden_layers",
  nHeads: "num_attention_heads",
  nKvHeads: "num_key_value_heads",
  headDim: "head_dim",
  ropeDim: "head_dim",
  ropeBase: "rope_theta",
  normEps: "rms_norm_eps",
  vocabSize: "vocab_size",
  contextLength: "max_position_embeddings",
};

/** Keys that change what is computed, with the values at which they change nothing; null and absence do not either. */
const neutralValues: Readonly<Record<string, JsonValue>> = {
  hidden_act: "silu",
  attention_bias: false,
  mlp_bias: false,
  quantization_config: null,
};

/** What a config.json says. */
export interface HuggingFaceConfig {
  readonly config: ModelConfig;
  /** Whether the classifier is the embedding table. */
  readonly tied: boolean;
}

/**
 * The config of a Llama in Hugging Face's form. What `LlamaForCausalLM` does not look at is passed over here as well.
 *
 * @param name what errors call the file
 * @throws UnsupportedError for another kind of model, and for what this runtime does not compute
 * @throws ModelError for a config that is missing, of the wrong type, or impossible
 */
export function readHuggingFaceConfig(json: JsonObject, name: string): HuggingFaceConfig {
  const modelType = json.get("model_type");
  if (modelType !== "llama") {
    throw new UnsupportedError(
      `Cannot load ${name}: model_type: only "llama" is supported, found ${kindOf(modelType)}`,
    );
  }
  for (const [key, neutral] of Object.entries(neutralValues)) {
    const found = json.get(key) ?? null;
    if (found === null || found === neutral) continue;
    throw new UnsupportedError(`Cannot load ${name}: ${key} ${kindOf(found)} is not supported`);
  }
  const fields = fieldReader(json, name);
  const dim = fields.integer(keys.dim);
  const nHeads = fields.integer(keys.nHeads);
  const nKvHeads = fields.integer(keys.nKvHeads, nHeads);
  const headDim = fields.integer(keys.headDim, dim / nHeads);
  const config: ModelConfig = {
    dim,
    hiddenDim: fields.integer(keys.hiddenDim),
    nLayers: fields.integer(keys.nLayers),
    nHeads,
    nKvHeads,
    headDim,
    kvDim: nKvHeads * headDim,
    ropeDim: headDim,
    // rounded as in a GGUF, so that both forms of a model give the same logits
    ropeBase: Math.fround(readRopeBase(json, name)),
    normEps: Math.fround(fields.number(keys.normEps)),
    vocabSize: fields.integer(keys.vocabSize),
    contextLength: fields.integer(keys.contextLength),
  };
  const problem = configProblem(config, keys);
  if (problem) throw new ModelError(`Cannot load ${name}: ${problem}`);
  return { config, tied: fields.boolean("tie_word_embeddings", false) };
}

/** RoPE's base: at the top, or in newer files among the parameters of its scaling, of which there must be none. */
function readRopeBase(json: JsonObject, name: string): number {
  for (const key of ["rope_scaling", "rope_parameters"]) {
    const scaling = json.get(key) ?? null;
    if (scaling === null) continue;
    if (!isJsonObject(scaling)) throw wrongType(name, key, "an object", scaling);
    const type = scaling.get("rope_type") ?? scaling.get("type");
    const factor = scaling.get("factor") ?? 1n;
    const isNeutral = type === "default" || (type === "linear" && Number(factor) === 1);
    if (!isNeutral) {
      throw new UnsupportedError(
        `Cannot load ${name}: ${key} of type ${kindOf(type)} and factor ${kindOf(factor)} is not supported`,
      );
    }
    const partial = scaling.get("partial_rotary_factor") ?? 1n;
    if (Number(partial) !== 1) {
      throw new UnsupportedError(
        `Cannot load ${name}: partial_rotary_factor ${kindOf(partial)} is not supported`,
      );
    }
    if (scaling.has(keys.ropeBase)) return fieldReader(scaling, name).number(keys.ropeBase);
  }
  return fieldReader(json, name).number(keys.ropeBase, 10000);
}

/** Fields of an object by their type. Without a default a field has to be there; null counts as absent. */
export function fieldReader(json: JsonObject, name: string) {
  const read = <T>(
    key: string,
    expected: string,
    as: (value: JsonValue) => T | undefined,
    otherwise?: T,
  ): T => {
    const value = json.get(key) ?? null;
    if (value === null && otherwise !== undefined) return otherwise;
    const found = as(value);
    if (found === undefined) throw wrongType(name, key, expected, value);
    return found;
  };
  return {
    integer: (key: string, otherwise?: number) =>
      read(key, "an integer", (value) => (typeof value === "bigint" ? Number(value) : undefined), otherwise),
    number: (key: string, otherwise?: number) =>
      read(key, "a number", (value) => (isNumber(value) ? Number(value) : undefined), otherwise),
    boolean: (key: string, otherwise?: boolean) =>
      read(key, "true or false", (value) => (typeof value === "boolean" ? value : undefined), otherwise),
    /** One id or a list of them. */
    ids: (key: string) =>
      read<readonly number[]>(
        key,
        "a token id or an array of them",
        (value) => {
          const list = isJsonArray(value) ? value : [value];
          return list.every((id) => typeof id === "bigint") ? list.map(Number) : undefined;
        },
        [],
      ),
  };
}

function isNumber(value: JsonValue): boolean {
  return typeof value === "bigint" || typeof value === "number";
}

function wrongType(name: string, key: string, expected: string, found: JsonValue): ModelError {
  return new ModelError(`Cannot load ${name}: ${key}: expected ${expected}, found ${kindOf(found)}`);
}
