import type { Checkpoint } from "./checkpoint.js";
import { openGguf } from "./gguf.js";
import { ggufCheckpoint } from "./gguf-checkpoint.js";
import { joinGgufParts } from "./gguf-split.js";
import type { Source } from "./source.js";

/**
 * Opens a checkpoint of any format, told by its first bytes: GGUF, in parts as well; a file of a folder in Hugging Face's or
 * Meta's form; llama2.c's versions 0 to 2. Only the headers are read. The source stays the caller's, who closes it when the
 * checkpoint is no longer read from, or when this rejects.
 *
 * @throws FormatError for files that are no model, or are damaged
 * @throws ModelError for a model that cannot be
 * @throws UnsupportedError for a model that this version does not run
 */
export async function openCheckpoint(source: Source): Promise<Checkpoint> {
  const magic = await source.read(0, Math.min(4, source.size));
  if (String.fromCharCode(...magic) === "GGUF")
    return ggufCheckpoint(await joinGgufParts(await openGguf(source)));
  // not with this module: most models are GGUFs, and a page would load the readers of all other forms for nothing
  const { openOther } = await import("./open-other.js");
  return openOther(source);
}
