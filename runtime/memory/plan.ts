import { OutOfMemoryError } from "../errors.js";
import type { Checkpoint } from "../formats/checkpoint.js";
import type { CacheType } from "./choices.js";
import { Layout, type LayoutOptions, type Part } from "./layout.js";
import { type MatrixSlot, PAGE_BYTES, type StagePlan } from "./slots.js";
import { spread } from "./spread.js";
import { packedBytes, type WeightType } from "./tensor.js";

export interface Plan {
  readonly stages: readonly StagePlan[];
  readonly contextLength: number;
  readonly cacheType: CacheType;
  /** Positions that one call of forward takes at most. */
  readonly batch: number;
  /** Layers, the last ones, whose weights are read anew for each pass. */
  readonly streamedLayers: number;
  /** Bytes outside the stages: the file's form of a streamed layer, while it is read ahead. */
  readonly readAheadBytes: number;
  /** Sum over the stages, and what is read ahead, in bytes. */
  readonly totalBytes: number;
}

export interface PlanOptions extends LayoutOptions {
  /** Most bytes of one stage. Default 4 GiB less a page, the most that a loop `p < end` can reach the end of. */
  readonly maxStageBytes?: number | undefined;
}

const MAX_STAGE_BYTES = 2 ** 32 - PAGE_BYTES;

/**
 * Lays a model over as few stages as hold it, about equally full, from the checkpoint's header alone: nothing is allocated or read. An embedding or
 * a classifier that is larger than a stage is cut by rows. Throws OutOfMemoryError, with the numbers, when a layer is larger than a
 * stage can be.
 */
export function planModel(checkpoint: Checkpoint, options: PlanOptions): Plan {
  const { streamedLayers = 0, maxStageBytes = MAX_STAGE_BYTES } = options;
  const layout = new Layout(checkpoint, options);
  const parts = partsOf(layout, streamedLayers, maxStageBytes);
  const limit = Math.floor(maxStageBytes / PAGE_BYTES);

  const until = [0]; // bytes of all parts before
  for (const part of parts) until.push(until.at(-1)! + layout.partBytes(part));
  const streamedFrom = parts.findIndex((part) => part.kind === "layer" && part.streamed);
  const pages = (begin: number, end: number) => {
    const streams = streamedFrom >= 0 && streamedFrom < end && begin < streamedFrom + streamedLayers;
    const bytes = until[end]! - until[begin]! + layout.fixedBytes + (streams ? layout.streamingBytes : 0);
    return Math.ceil(bytes / PAGE_BYTES);
  };
  for (const [i, part] of parts.entries()) {
    if (pages(i, i + 1) > limit)
      throw tooLarge(checkpoint, part, pages(i, i + 1) * PAGE_BYTES, maxStageBytes);
  }
  const ends = spread(parts.length, pages, limit);
  const stages = ends.map((end, i) => layout.stage(parts.slice(ends[i - 1] ?? 0, end)));

  const readAheadBytes = streamedLayers ? layout.readAheadBytes : 0;
  return {
    stages,
    contextLength: options.contextLength,
    cacheType: layout.cacheType,
    batch: layout.batch,
    streamedLayers,
    readAheadBytes,
    totalBytes: stages.reduce((sum, stage) => sum + stage.pages * PAGE_BYTES, readAheadBytes),
  };
}

/** The packed types of a plan's matrices, those that take the most bytes first. */
export function packedTypes({ stages }: Plan): WeightType[] {
  const bytes = new Map<WeightType, number>();
  for (const { layers, embedding, head } of stages) {
    const slots = [embedding, head?.output, ...layers.flatMap((layer): object[] => Object.values(layer))];
    // a set, since a tied classifier is the embedding
    for (const slot of new Set(slots)) {
      if (!slot || !isMatrix(slot)) continue;
      bytes.set(slot.type, (bytes.get(slot.type) ?? 0) + packedBytes(slot.type, slot.rows, slot.cols));
    }
  }
  return [...bytes.keys()].sort((a, b) => bytes.get(b)! - bytes.get(a)!);
}

function isMatrix(slot: object): slot is MatrixSlot {
  return "rows" in slot;
}

/** The model from its beginning to its end, the ends cut by rows where a stage would not hold them. */
function partsOf(layout: Layout, streamedLayers: number, maxStageBytes: number): Part[] {
  const { nLayers, vocabSize } = layout.checkpoint.config;
  const room = Math.floor(maxStageBytes / PAGE_BYTES) * PAGE_BYTES - layout.fixedBytes;
  const cut = (kind: "embedding" | "output"): Part[] => {
    const bytes = (rows: number) => layout.partBytes({ kind, begin: 0, end: rows });
    let step = vocabSize; // rows of a piece; the fewest pieces, so that no stage gets two of them
    if (bytes(step) > room && bytes(8) <= room) {
      for (let pieces = 2; bytes(step) > room; pieces++) step = Math.ceil(vocabSize / pieces / 8) * 8;
    }
    const parts: Part[] = [];
    for (let begin = 0; begin < vocabSize; begin += step) {
      parts.push({ kind, begin, end: Math.min(begin + step, vocabSize) });
    }
    return parts;
  };
  return [
    ...cut("embedding"),
    ...Array.from({ length: nLayers }, (_, layer): Part => {
      return { kind: "layer", layer, streamed: layer >= nLayers - streamedLayers };
    }),
    ...(layout.tied ? [] : cut("output")),
  ];
}

function tooLarge(checkpoint: Checkpoint, part: Part, bytes: number, limit: number): OutOfMemoryError {
  const what = part.kind === "layer" ? `layer ${part.layer}` : `the ${part.kind}`;
  return new OutOfMemoryError(
    `Cannot plan ${checkpoint.source.name}: ${what} needs ${bytes} bytes with its cache and scratch, a stage holds ${limit}`,
  );
}
