import { UnsupportedError } from "../errors.js";
import { quoted } from "./byte-cursor.js";
import type { Checkpoint } from "./checkpoint.js";
import type { Gguf } from "./gguf.js";
import { readConfig } from "./gguf-config.js";
import { modelError, stringAt } from "./gguf-values.js";
import { readVocabulary } from "./gguf-vocabulary.js";
import { bindTensors, readStoredRows } from "./llama-tensors.js";

/** What the tensors belong to that a plain Llama does not have, by their names. */
const foreignTensors: readonly (readonly [RegExp, string])[] = [
  [/^rope_freqs\./, "RoPE scaling"],
  [/_exps\.|_shexp\.|ffn_gate_inp|\.ffn_(gate|up|down)\.\d+\./, "experts"],
  [/\.attn_\w+\.bias$/, "attention bias"],
  [/\.bias$/, "bias"],
];

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
  if (gguf.tensors.size === 0) {
    throw modelError(gguf, "expected the tensors of a model, found none; the file is a vocabulary at most");
  }
  const tensors = bindTensors(config, {
    sourceName: gguf.source.name,
    stored: gguf.tensors,
    storedName: (name) => name,
    tied: !gguf.tensors.has("output.weight"),
    featureOf: (name) => foreignTensors.find(([pattern]) => pattern.test(name))?.[1],
  });
  const { vocabulary, special } = readVocabulary(gguf, config.vocabSize);
  const { source } = gguf;
  return {
    format: `GGUF v${gguf.version}`,
    architecture: "llama",
    config,
    metadata: gguf.metadata,
    metadataTypes: gguf.metadataTypes,
    tensors,
    vocabulary,
    special,
    source,
    readRows: (tensor, begin, end, into) => readStoredRows(source, tensor, begin, end, into),
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
