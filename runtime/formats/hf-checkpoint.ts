import { FormatError, ModelError, UnsupportedError } from "../errors.js";
import { quoted } from "./byte-cursor.js";
import type { Checkpoint, MetadataValue, ModelConfig, TensorInfo } from "./checkpoint.js";
import { defined } from "./defined.js";
import { fieldReader, readHuggingFaceConfig } from "./hf-config.js";
import { readInterleaved } from "./hf-rotation.js";
import { joinSources } from "./join-sources.js";
import { bindTensors, checkRows, readStoredRows, type StoredTensor } from "./llama-tensors.js";
import { openSafetensors, type Safetensors } from "./safetensors.js";
import { baseName, type Source } from "./source.js";
import { isJsonArray, isJsonObject, type JsonObject, type JsonValue, readJsonObject } from "./strict-json.js";
import { rowBytes } from "./tensor-types.js";

/**
 * A Llama as the transformers library saves it, a folder of
 *
 *     config.json                        sizes
 *     model.safetensors                  weights in F32, F16 or BF16, or
 *     model.safetensors.index.json       which of the shards beside it has which tensor
 *     generation_config.json             optional: ids that begin and end a text
 *     tokenizer_config.json              optional: the chat template (or chat_template.jinja)
 *
 * and a tokenizer, which is not read here.
 */
const files = {
  config: "config.json",
  weights: "model.safetensors",
  index: "model.safetensors.index.json",
  generation: "generation_config.json",
  tokenizer: "tokenizer_config.json",
  template: "chat_template.jinja",
} as const;

/** Hugging Face's name of each tensor; those of a layer come after `model.layers.N.`. */
const outerNames: Readonly<Record<string, string>> = {
  "token_embd.weight": "model.embed_tokens.weight",
  "output_norm.weight": "model.norm.weight",
  "output.weight": "lm_head.weight",
};
const layerNames: Readonly<Record<string, string>> = {
  "attn_norm.weight": "input_layernorm.weight",
  "attn_q.weight": "self_attn.q_proj.weight",
  "attn_k.weight": "self_attn.k_proj.weight",
  "attn_v.weight": "self_attn.v_proj.weight",
  "attn_output.weight": "self_attn.o_proj.weight",
  "ffn_norm.weight": "post_attention_layernorm.weight",
  "ffn_gate.weight": "mlp.gate_proj.weight",
  "ffn_up.weight": "mlp.up_proj.weight",
  "ffn_down.weight": "mlp.down_proj.weight",
};

/** RoPE's frequencies, which older files hold; they follow from the config, and transformers does not read them either. */
const computedTensor = /\.rotary_emb\.inv_freq$/;

/** The matrices whose rows are in the order of half-split rotation. */
const rotatedTensor = /\.attn_[qk]\.weight$/;

/** Whether a JSON file is the config or the index of such a folder. */
export function isHuggingFace(json: JsonValue): boolean {
  return isJsonObject(json) && ["model_type", "architectures", "weight_map"].some((key) => json.has(key));
}

/**
 * Opens a folder in Hugging Face's form, by any of its files. Rows of q and k are given in the order of interleaved pairs, like
 * every checkpoint's here.
 *
 * @param source one of the folder's files, from which the others are reached
 * @throws FormatError for damaged files, a missing shard, an index that contradicts the shards
 * @throws ModelError for a config that is impossible or contradicts the tensors
 * @throws UnsupportedError for another kind of model, and for what this runtime does not compute
 */
export async function openHuggingFace(source: Source): Promise<Checkpoint> {
  const folder = folderOf(source);
  const configFile = await folder.open(files.config);
  if (!configFile) {
    throw new FormatError(`Cannot open ${source.name}: expected a ${files.config} beside it, found none`);
  }
  const json = await readJsonObject(configFile);
  const { config, tied } = readHuggingFaceConfig(json, configFile.name);
  const { weights, shards } = await openWeights(source, folder);
  const stored = new Map([...weights.tensors].filter(([name]) => !computedTensor.test(name)));
  if (tied && stored.has(outerNames["output.weight"]!)) {
    throw new ModelError(
      `Cannot load ${configFile.name}: tie_word_embeddings: expected a model without ${outerNames["output.weight"]}, found one`,
    );
  }
  const tensors = bindTensors(config, { sourceName: source.name, stored, storedName, tied, featureOf });
  return {
    format: shards === 1 ? "safetensors" : `safetensors in ${shards} shards`,
    architecture: "llama",
    config,
    metadata: await readMetadata(folder),
    tensors,
    vocabulary: undefined,
    special: await readSpecial(json, configFile.name, folder, config),
    source: weights.source,
    readRows: (tensor, begin, end) => readRows(weights.source, config, tensor, begin, end),
  };
}

/** Files of the folder by their names; the given source is one of them. */
interface Folder {
  open(name: string): Promise<Source | undefined>;
}

function folderOf(source: Source): Folder {
  return {
    open: async (name) => (baseName(source.name) === name ? source : source.sibling?.(name)),
  };
}

interface Weights {
  readonly weights: Safetensors;
  readonly shards: number;
}

async function openWeights(source: Source, folder: Folder): Promise<Weights> {
  const given = baseName(source.name);
  // a file of weights that is opened by itself, whatever its name, if it is not one of several
  if (given.endsWith(".safetensors") && !/-\d{5}-of-\d{5}\.safetensors$/.test(given)) {
    return { weights: await openSafetensors(source), shards: 1 };
  }
  const single = given === files.index ? undefined : await folder.open(files.weights);
  if (single) return { weights: await openSafetensors(single), shards: 1 };
  const index = await folder.open(files.index);
  if (index) return openShards(index, folder);
  for (const name of ["pytorch_model.bin", "pytorch_model.bin.index.json"]) {
    if (await folder.open(name)) throw pytorchWeights(source.name, name);
  }
  throw new FormatError(
    `Cannot open ${source.name}: expected ${files.weights} or ${files.index} beside it, found neither`,
  );
}

/** Whether a file is called as transformers called weights before safetensors, whole or in shards. */
export function isPytorchModel({ name }: Source): boolean {
  return /^pytorch_model(-\d{5}-of-\d{5})?\.bin$/.test(baseName(name));
}

/** The error for such weights. */
export function pytorchWeights(opened: string, name: string): UnsupportedError {
  return new UnsupportedError(
    `Cannot open ${opened}: weights in ${name} are not supported, those in ${files.weights} are; transformers' save_pretrained() writes them so`,
  );
}

/** All shards as one: the index and the shards have to say the same of what is where. */
async function openShards(index: Source, folder: Folder): Promise<Weights> {
  const fail = (problem: string) => new FormatError(`Cannot read ${index.name}: ${problem}`);
  const weightMap = (await readJsonObject(index)).get("weight_map");
  if (!isJsonObject(weightMap)) throw fail("expected an object weight_map, found none");
  const names = new Set<string>();
  for (const [tensor, file] of weightMap) {
    if (typeof file !== "string") throw fail(`${quoted(tensor)}: expected the name of a file`);
    names.add(file);
  }

  const tensors = new Map<string, StoredTensor>();
  const sources: Source[] = [];
  let start = 0;
  for (const name of names) {
    const source = await folder.open(name);
    if (!source) throw fail(`expected the shard ${quoted(name)} beside it, found no such file`);
    const shard = await openSafetensors(source);
    for (const tensor of shard.tensors.values()) {
      const expected = weightMap.get(tensor.name);
      if (expected !== name) {
        const said = typeof expected === "string" ? quoted(expected) : "nowhere";
        throw fail(`${quoted(tensor.name)}: expected in ${said}, found in ${quoted(name)}`);
      }
      tensors.set(tensor.name, { ...tensor, offset: start + tensor.offset });
    }
    sources.push(source);
    start += source.size;
  }
  for (const [tensor, file] of weightMap) {
    if (!tensors.has(tensor))
      throw fail(`${quoted(tensor)}: expected in ${quoted(String(file))}, found nowhere`);
  }
  return { weights: { tensors, source: joinSources(sources, index.name) }, shards: sources.length };
}

/** `model.layers.3.self_attn.q_proj.weight` for `blk.3.attn_q.weight`. */
function storedName(name: string): string {
  const [, layer, rest] = /^blk\.(\d+)\.(.+)$/.exec(name) ?? [];
  return layer === undefined ? outerNames[name]! : `model.layers.${layer}.${layerNames[rest!]}`;
}

function featureOf(name: string): string | undefined {
  if (/\.experts\.|block_sparse_moe/.test(name)) return "experts";
  if (/_proj\.bias$/.test(name)) return "bias";
  if (/\.(qweight|qzeros|g_idx|SCB|absmax)|weight_scale/.test(name)) return "a quantized safetensors file";
  return undefined;
}

async function readRows(
  source: Source,
  { headDim }: ModelConfig,
  tensor: TensorInfo,
  begin: number,
  end: number,
): Promise<Uint8Array> {
  if (!rotatedTensor.test(tensor.name)) return readStoredRows(source, tensor, begin, end);
  checkRows(tensor.name, tensor.shape, begin, end);
  const stride = rowBytes(tensor.type, tensor.shape[1]!);
  const read = (from: number, to: number) => readStoredRows(source, tensor, from, to);
  return readInterleaved(read, { headDim, stride, begin, end });
}

/** What a GGUF of this model would say beyond its config: the chat template. */
async function readMetadata(folder: Folder): Promise<Map<string, MetadataValue>> {
  const template = await readChatTemplate(folder);
  return new Map(template === undefined ? [] : [["tokenizer.chat_template", template]]);
}

/** The file of its own counts first, then the only template in tokenizer_config.json, or of several the default. */
async function readChatTemplate(folder: Folder): Promise<string | undefined> {
  const file = await folder.open(files.template);
  if (file) return new TextDecoder().decode(await file.read(0, file.size));
  const tokenizer = await folder.open(files.tokenizer);
  const template = tokenizer && (await readJsonObject(tokenizer)).get("chat_template");
  if (typeof template === "string") return template;
  if (!isJsonArray(template)) return undefined;
  const named = template.filter(isJsonObject).find((entry) => entry.get("name") === "default");
  const found = named?.get("template");
  return typeof found === "string" ? found : undefined;
}

/** Ids that begin and end a text: by generation_config.json, else by config.json. Of two ends the second is a turn's. */
async function readSpecial(
  config: JsonObject,
  configName: string,
  folder: Folder,
  { vocabSize }: ModelConfig,
): Promise<Checkpoint["special"]> {
  const generation = await folder.open(files.generation);
  const said = generation && fieldReader(await readJsonObject(generation), generation.name);
  const otherwise = fieldReader(config, configName);
  const idsOf = (key: string): readonly number[] => {
    const own = said?.ids(key) ?? [];
    const ids = own.length ? own : otherwise.ids(key);
    const wrong = ids.find((id) => !(id >= 0 && id < vocabSize));
    if (wrong !== undefined) {
      const file = own.length ? generation!.name : configName;
      throw new ModelError(
        `Cannot load ${file}: ${key}: expected an id from 0 to ${vocabSize - 1}, found ${wrong}`,
      );
    }
    return ids;
  };
  const [bos] = idsOf("bos_token_id");
  const [eos, ...others] = idsOf("eos_token_id");
  return defined({ bos, eos, eot: others.at(-1) });
}
