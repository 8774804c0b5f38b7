import { ModelError, UnsupportedError } from "../errors.js";
import type { Checkpoint, MetadataValue, ModelConfig } from "../formats/checkpoint.js";
import { type Gguf, openGguf } from "../formats/gguf.js";
import { openCheckpoint } from "../formats/open.js";
import { openSource, type SourceLike } from "./sources.js";

/** What a model file says of itself. */
export interface Inspection {
  /** The file's format and version: "GGUF v3". */
  readonly format: string;
  /** As the file names it; "unknown" where a GGUF names none. */
  readonly architecture: string;
  /** Undefined for a file that does not run. */
  readonly config: ModelConfig | undefined;
  /** What the file says beside that, by its own keys. Empty for formats that have none. */
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  /** In the order of the file. */
  readonly tensors: readonly InspectedTensor[];
  /** Weights in all tensors. */
  readonly parameters: number;
  /** Size of the file. */
  readonly bytes: number;
  /** Why load() would refuse it; undefined where it would not. */
  readonly problem: string | undefined;
}

/** A tensor of a model file. */
export interface InspectedTensor {
  /** GGUF's name, such as `blk.0.attn_q.weight`, whatever the format. */
  readonly name: string;
  /** Outermost dimension first. */
  readonly shape: readonly number[];
  /** The type of its numbers in the file, by ggml's name: "Q4_K". */
  readonly type: string;
  /** What it takes in the file. */
  readonly bytes: number;
}

/**
 * Reads a model's header; no weights. A sound GGUF that does not run, such as a vocabulary, another architecture or types that this
 * version lacks, is described too, with the `problem`. Throws a FormatError for what is no model file or a damaged one.
 */
export async function inspect(from: SourceLike): Promise<Inspection> {
  const source = await openSource(from);
  try {
    return describe(await openCheckpoint(source), undefined);
  } catch (error) {
    if (!(error instanceof ModelError || error instanceof UnsupportedError)) throw error;
    const gguf = await openGguf(source).catch(() => undefined);
    if (!gguf) throw error;
    return describe(fromContainer(gguf), error.message);
  } finally {
    await source.close();
  }
}

type Described = Pick<Checkpoint, "format" | "metadata" | "source"> & {
  readonly architecture: string;
  readonly config?: ModelConfig;
  readonly tensors: ReadonlyMap<string, InspectedTensor & { readonly storedAs?: string }>;
};

function fromContainer({ version, metadata, tensors, source }: Gguf): Described {
  const architecture = metadata.get("general.architecture");
  return {
    format: `GGUF v${version}`,
    architecture: typeof architecture === "string" ? architecture : "unknown",
    metadata,
    tensors,
    source,
  };
}

function describe(
  { format, architecture, config, metadata, tensors, source }: Described,
  problem: string | undefined,
): Inspection {
  const listed = [...tensors.values()].map(({ name, shape, type, storedAs, bytes }) => ({
    name,
    shape,
    type: storedAs ?? type,
    bytes,
  }));
  const parameters = listed.reduce(
    (sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1),
    0,
  );
  return { format, architecture, config, metadata, tensors: listed, parameters, bytes: source.size, problem };
}
