import { UnsupportedError } from "../errors.js";
import { quoted } from "./byte-cursor.js";
import type { Checkpoint, ModelConfig, TensorInfo } from "./checkpoint.js";
import { isComputable } from "./ggml-types.js";
import type { Gguf, GgufTensor } from "./gguf.js";
import { readConfig } from "./gguf-config.js";
import { modelError, stringAt } from "./gguf-values.js";
import { readVocabulary } from "./gguf-vocabulary.js";
import { checkRows, llamaTensors } from "./llama-tensors.js";
import { rowBytes, type TensorType, tensorTypes } from "./tensor-types.js";

/** What the tensors belong to that a plain Llama does not have, by their names. */
const foreignTensors: readonly (readonly [RegExp, string])[] = [
  [/^rope_freqs\./, "RoPE scaling"],
  [/_exps\.|_shexp\.|ffn_gate_inp|\.ffn_(gate|up|down)\.\d+\./, "experts"],
  [/\.attn_\w+\.bias$/, "attention bias"],
  [/\.bias$/, "bias"],
];

/** Norms are applied in f32. */
const vectorTypes: readonly TensorType[] = ["F32", "F16", "BF16"];

/**
 * The Llama in a GGUF file. Its rows of q and k are in the order of interleaved pairs, as Meta's are: whoever writes
 * a GGUF of architecture `llama` sees to that.
 *
 * @throws UnsupportedError for other architectures, and for whatever this runtime would have to pass over or cannot
 *   compute: keys, tensors and their types
 * @throws ModelError for a config that is impossible or does not go with the tensors or the vocabulary
 */
export function ggufCheckpoint(gguf: Gguf): Checkpoint {
  checkKind(gguf);
  const config = readConfig(gguf);
  const tensors = checkTensors(gguf, config);
  const { vocabulary, special } = readVocabulary(gguf, config.vocabSize);
  const { source } = gguf;
  return {
    format: `GGUF v${gguf.version}`,
    architecture: "llama",
    config,
    metadata: gguf.metadata,
    tensors,
    vocabulary,
    special,
    source,
    async readRows({ name, shape, type, offset }, begin, end) {
      checkRows(name, shape, begin, end);
      const stride = rowBytes(type, shape.at(-1)!);
      return source.read(offset + begin * stride, offset + end * stride);
    },
  };
}

/** GGUF files also hold adapters and other architectures. */
function checkKind(gguf: Gguf): void {
  const refuse = (key: string, expected: string, found: string) => {
    throw new UnsupportedError(
      `Cannot load ${gguf.source.name}: ${key}: only ${expected} is supported, found ${found}`,
    );
  };
  const kind = stringAt(gguf, "general.type") ?? "model";
  if (kind !== "model") refuse("general.type", '"model"', quoted(kind));
  const architecture = stringAt(gguf, "general.architecture");
  if (architecture === undefined) {
    throw modelError(gguf, 'general.architecture: expected "llama", the file has no such key');
  }
  if (architecture !== "llama") refuse("general.architecture", '"llama"', quoted(architecture));
}

/** Each tensor that the config asks for is there in its shape and a type we compute with, and there is no other. */
function checkTensors(gguf: Gguf, config: ModelConfig): Map<string, TensorInfo> {
  if (gguf.tensors.size === 0) {
    throw modelError(gguf, "expected the tensors of a model, found none; the file is a vocabulary at most");
  }
  const expected = llamaTensors(config, { tied: !gguf.tensors.has("output.weight") });
  for (const name of gguf.tensors.keys()) {
    if (!expected.has(name)) throw foreign(gguf, name, config);
  }
  const tensors = new Map<string, TensorInfo>();
  for (const [name, shape] of expected) {
    const tensor = gguf.tensors.get(name);
    if (!tensor)
      throw modelError(gguf, `${name}: expected [${shape.join(", ")}], the file has no such tensor`);
    if (tensor.shape.length !== shape.length || tensor.shape.some((size, i) => size !== shape[i])) {
      throw modelError(gguf, `${name}: expected [${shape.join(", ")}], found [${tensor.shape.join(", ")}]`);
    }
    tensors.set(name, { ...tensor, type: computableType(gguf, tensor) });
  }
  return tensors;
}

function computableType(gguf: Gguf, { name, type, shape }: GgufTensor): TensorType {
  const possible = shape.length === 1 ? vectorTypes : Object.keys(tensorTypes);
  if (isComputable(type) && possible.includes(type)) return type;
  throw new UnsupportedError(
    `Cannot load ${gguf.source.name}: ${name}: ${type} is not supported here, ${possible.join(", ")} are`,
  );
}

function foreign(gguf: Gguf, name: string, config: ModelConfig): UnsupportedError {
  const feature = foreignTensors.find(([pattern]) => pattern.test(name))?.[1];
  const why = feature
    ? `${feature} is not supported`
    : `a Llama of ${config.nLayers} layers has no such tensor, and to pass over it could mean wrong text`;
  return new UnsupportedError(`Cannot load ${gguf.source.name}: ${name}: ${why}`);
}
