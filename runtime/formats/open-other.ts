import { FormatError } from "../errors.js";
import type { Checkpoint } from "./checkpoint.js";
import { describeHead, signatureBytes } from "./file-signatures.js";
import { isHuggingFace, isPytorchModel, openHuggingFace, pytorchWeights } from "./hf-checkpoint.js";
import { isLlama2c, llama2cHeadBytes, openLlama2c } from "./llama2c.js";
import { isMetaParams, openMeta } from "./meta-checkpoint.js";
import { isSafetensors } from "./safetensors.js";
import { baseName, type Source } from "./source.js";
import { readJson } from "./strict-json.js";

/** Opens what is no GGUF, told by its first bytes; throws as openCheckpoint does. */
export async function openOther(source: Source): Promise<Checkpoint> {
  const headBytes = Math.max(signatureBytes, llama2cHeadBytes);
  const head = await source.read(0, Math.min(headBytes, source.size));
  // before asking what it looks like: llama2.c's version 0 has no magic, and a dim of 640 looks like a Python pickle
  if (isLlama2c(head)) return openLlama2c(source);
  if (isSafetensors(head)) return openHuggingFace(source);
  if (isPytorchModel(source)) throw pytorchWeights(source.name, baseName(source.name));
  if (startsWith(head, "PK") && source.name.endsWith(".pth")) return openMeta(source);
  if (startsWith(head, "{")) {
    const json = await readJson(source);
    if (isHuggingFace(json)) return openHuggingFace(source);
    if (isMetaParams(json)) return openMeta(source);
  }
  throw new FormatError(
    `Cannot open ${source.name}: not a model; ${describeHead(head)}, expected GGUF, Hugging Face's or Meta's files, or llama2.c`,
  );
}

function startsWith(bytes: Uint8Array, text: string): boolean {
  return [...text].every((char, i) => bytes[i] === char.charCodeAt(0));
}
