import type { Checkpoint, MetadataValue, ModelConfig } from "../formats/checkpoint.js";
import { openCheckpoint } from "../formats/open.js";
import { openSource, type SourceLike } from "./sources.js";

/** What a model file says of itself. */
export interface Inspection {
  readonly format: string;
  readonly architecture: string;
  readonly config: ModelConfig;
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  readonly tensors: readonly InspectedTensor[];
  /** Weights in all tensors. */
  readonly parameters: number;
  /** Size of the file. */
  readonly bytes: number;
}

export interface InspectedTensor {
  readonly name: string;
  /** Outermost dimension first. */
  readonly shape: readonly number[];
  readonly type: string;
  readonly bytes: number;
}

/** Reads a model's header; no weights. Errors as in load. */
export async function inspect(from: SourceLike): Promise<Inspection> {
  const source = await openSource(from);
  try {
    return describe(await openCheckpoint(source));
  } finally {
    await source.close();
  }
}

function describe({ format, architecture, config, metadata, tensors, source }: Checkpoint): Inspection {
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
  return { format, architecture, config, metadata, tensors: listed, parameters, bytes: source.size };
}
