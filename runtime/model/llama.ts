import type { Checkpoint, ModelConfig } from "../formats/checkpoint.js";
import type { Build } from "../memory/choices.js";
import { chooseBuild } from "../memory/choose-build.js";
import { type FitOptions, planWithin } from "../memory/fit.js";
import type { Plan } from "../memory/plan.js";
import type { LayerSlots, ScratchSlots, StagePlan } from "../memory/slots.js";
import { allocateStages, Stage } from "../memory/stage.js";
import type { Matrix, Tensor } from "../memory/tensor.js";
import { nextTask } from "../next-task.js";
import { orAborted } from "../or-aborted.js";
import { type CrewOptions, createCrew, type WorkerCrew } from "../pool/crew.js";
import { LayerStream } from "./layer-stream.js";
import type { EmbeddingPiece } from "./ops.js";
import { ropeTable } from "./rope-table.js";
import { bindLayer, type Layer, layerPieces, type Piece, type ReadOptions, readWeights } from "./weights.js";

/** The activations of n positions: the leading rows of a stage's scratch. Shapes stand at ScratchSlots. */
export type Scratch = { readonly [K in keyof ScratchSlots]: Tensor };

/** A stage with everything of the model that lies in it. */
export interface ModelStage {
  readonly layers: readonly Layer[];
  readonly rope: Tensor;
  /** Scratch for n positions, 1 to the plan's batch. */
  scratch(n: number): Scratch;
}

/** The end of the model; where it is cut by rows, the rows from `firstRow` on. */
export interface Head {
  readonly scratch: (n: number) => Scratch;
  readonly norm: Tensor; // f32[dim]
  readonly output: Matrix; // [rows, dim]
  readonly firstRow: number;
  readonly logits: Tensor; // f32[1, rows]
}

/** A Llama in memory, ready to compute. */
export interface Llama {
  readonly config: ModelConfig;
  readonly plan: Plan;
  readonly build: Build;
  readonly stages: readonly ModelStage[];
  /** One piece, in the first stage, unless it is larger than a stage. */
  readonly embedding: readonly EmbeddingPiece[];
  /** One, unless the classifier is larger than a stage: in the last stage, or with a tied embedding where that is. */
  readonly heads: readonly Head[];
  readonly threads: number;
  /** Ends the threads. The memory goes when the last reference to it does. */
  dispose(): Promise<void>;
}

export interface LlamaOptions extends FitOptions, ReadOptions {
  /** Default: the fastest that runs here. */
  readonly build?: Build | undefined;
  /** Whether a model that was to have several threads computes with one where the engine refuses them. Default false: it is an error. */
  readonly threadsOptional?: boolean | undefined;
  /** The script that the threads run; default: this package's. */
  readonly workerUrl?: string | URL | undefined;
  /** Called before each job of a pass; what it throws ends the pass, and the model can go on with another one. */
  readonly interrupt?: (() => void) | undefined;
  /** A module to use instead of a shipped build; the tests pass the debug build. */
  readonly module?: WebAssembly.Module | undefined;
}

/**
 * Plans the checkpoint, allocates its stages, starts the threads and streams the weights in. When it rejects, nothing of the model stays
 * reachable, and no thread. A model with streamed layers goes on to read from the checkpoint's source, which has to stay open.
 *
 * Throws OutOfMemoryError, NumericError, ThreadError, or what the source's read throws.
 */
export async function loadLlama(checkpoint: Checkpoint, options: LlamaOptions): Promise<Llama> {
  const { config } = checkpoint;
  const { threads = 1 } = options;
  const shared = threads > 1;
  const plan = planWithin(checkpoint, options);
  const chosen = await chooseBuild(options.build, shared);
  const module = options.module ?? chosen.module;
  options.signal?.throwIfAborted();

  const memories = allocateStages(plan.stages, shared);
  const crew = shared
    ? await startCrew({ threads, module, memories, workerUrl: options.workerUrl }, options)
    : undefined;
  try {
    const stages: Stage[] = [];
    for (const [i, stagePlan] of plan.stages.entries()) {
      stages.push(await Stage.create(stagePlan, memories[i]!, module, i, crew, options.interrupt));
    }
    await writeRopeTable(config, stages, options);
    await readWeights(checkpoint, stages, options);
    return bindLlama(checkpoint, plan, chosen.build, stages, crew);
  } catch (error) {
    await crew?.dispose();
    throw error;
  }
}

/** A crew at work, or none where it can't start and need not. */
async function startCrew(
  options: CrewOptions,
  { threadsOptional, signal }: LlamaOptions,
): Promise<WorkerCrew | undefined> {
  const crew = await createCrew(options);
  try {
    await orAborted(crew.ready, signal);
    return crew;
  } catch (error) {
    await crew.dispose();
    if (signal?.aborted || !threadsOptional) throw error;
    return undefined;
  }
}

function bindLlama(
  checkpoint: Checkpoint,
  plan: Plan,
  build: Build,
  stages: readonly Stage[],
  crew: WorkerCrew | undefined,
): Llama {
  const { config } = checkpoint;
  const streamed = bindStreamedLayers(checkpoint, stages);
  const bound = stages.map((stage) => bindStage(stage, streamed));
  return {
    config,
    plan,
    build,
    stages: bound,
    embedding: stages.flatMap((stage, i) => {
      const slot = stage.plan.embedding;
      if (!slot) return [];
      return { matrix: stage.matrix(slot), firstRow: slot.firstRow, row: bound[i]!.scratch(1).x };
    }),
    heads: stages.flatMap((stage, i) => {
      const slots = stage.plan.head;
      if (!slots) return [];
      const { norm, output, logits } = slots;
      return {
        scratch: bound[i]!.scratch,
        norm: stage.tensor(norm),
        output: stage.matrix(output),
        firstRow: output.firstRow,
        logits: stage.tensor(logits),
      };
    }),
    threads: crew?.threads ?? 1,
    dispose: async () => crew?.dispose(),
  };
}

/** Positions of RoPE's table to compute at once: some milliseconds' worth, and 128 KiB at a head size of 128. */
const ROPE_CHUNK = 256;

/** In pieces, between which an abort is noticed: a context of a million positions takes ten seconds. */
async function writeRopeTable(
  config: ModelConfig,
  stages: readonly Stage[],
  { contextLength, signal }: LlamaOptions,
): Promise<void> {
  for (let begin = 0; begin < contextLength; begin += ROPE_CHUNK) {
    const end = Math.min(begin + ROPE_CHUNK, contextLength);
    const table = ropeTable(config, begin, end);
    for (const stage of stages) stage.tensor(stage.plan.rope).rows(begin, end).view().set(table);
    if (begin % (16 * ROPE_CHUNK) !== 0) continue;
    await nextTask();
    signal?.throwIfAborted();
  }
}

/** The streamed layers of all stages, by their slots. */
function bindStreamedLayers(checkpoint: Checkpoint, stages: readonly Stage[]): Map<LayerSlots, Layer> {
  const layers = new Map<LayerSlots, Layer>();
  const pieces: Piece[][] = [];
  const stream = new LayerStream(checkpoint, pieces);
  for (const stage of stages) {
    for (let i = stage.plan.streamedFrom; i < stage.plan.layers.length; i++) {
      const slots = stage.plan.layers[i]!;
      const number = pieces.push(layerPieces(checkpoint, stage, i)) - 1;
      layers.set(slots, { ...bindLayer(stage, slots), arrive: () => stream.arrive(number) });
    }
  }
  return layers;
}

function bindStage(stage: Stage, streamed: ReadonlyMap<LayerSlots, Layer>): ModelStage {
  const plan: StagePlan = stage.plan;
  const whole = Object.entries(plan.scratch).map(([name, slot]) => [name, stage.tensor(slot)] as const);
  // decoding asks for the same n = 1 again and again
  const bySize = new Map<number, Scratch>();
  return {
    layers: plan.layers.map((slots) => streamed.get(slots) ?? bindLayer(stage, slots)),
    rope: stage.tensor(plan.rope),
    scratch(n) {
      let scratch = bySize.get(n);
      if (!scratch) {
        scratch = Object.fromEntries(whole.map(([name, tensor]) => [name, tensor.rows(0, n)])) as Scratch;
        bySize.set(n, scratch);
      }
      return scratch;
    },
  };
}
