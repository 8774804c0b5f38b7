import { builds, type LoadOptions, load, type Model, type SourceLike } from "../runtime/index.js";
import {
  byteCount,
  fileName,
  integer,
  type OptionTable,
  oneOf,
  onePositional,
  UsageError,
} from "./arguments.js";
import { progressLine, progressText } from "./output.js";

/** The options of every command that loads a model. */
export const modelOptions = {
  keep: { type: "string" },
  tokenizer: { type: "string" },
  context: { type: "string" },
  cache: { type: "string" },
  threads: { type: "string" },
  memory: { type: "string" },
  weights: { type: "string" },
  quantize: { type: "string" },
  build: { type: "string" },
} as const satisfies OptionTable;

export const modelOptionsHelp = `
  --keep FOLDER        where a model with an address on the web or the hub is kept, to be there the next time (default:
                       nowhere; it is fetched each time)
  --tokenizer FILE     the vocabulary of another file: a SentencePiece model, a tokenizer.json, a llama2.c
                       tokenizer.bin or a GGUF
                       (default: the model's own; for a llama2.c checkpoint or a folder the tokenizer.bin,
                       tokenizer.model or tokenizer.json beside it)
  --context N          positions that the text may have, prompt included (default: the model's, 4096 at most)
  --cache TYPE         how keys and values are kept: f32, f16 or q8_0 (default f16)
  --threads N          threads to compute with, 1 to 64; the results are the same (default: one for each core, 16 at
                       most; one for small models)
  --memory BYTES       most memory that the model may take, such as 4000000000, 512MiB or 1.5GiB; what is above is refused (default: what
                       the machine has available)
  --weights MODE       resident keeps all weights in memory; stream reads the layers that --memory has no room for from the file
                       for every token, at the speed of the disk; the results are the same (default resident)
  --quantize TYPE      turns matrices of F32, F16 and BF16 into q8_0 or q4_0 while they are read: less memory, and faster
  --build BUILD        the kernels: simd, relaxed or relaxed16 (default: the fastest that is exact here; the results are the same)`;

type ModelValues = { readonly [Name in keyof typeof modelOptions]?: string };

/** What the options say, checked as far as that goes without the model. */
export function loadOptions(values: ModelValues): LoadOptions {
  return {
    tokenizer: fileName("--tokenizer", values.tokenizer),
    contextLength: integer("--context", values.context, 1),
    cacheType: oneOf("--cache", values.cache, ["f32", "f16", "q8_0"]),
    threads: integer("--threads", values.threads, 1),
    ...memoryOptions(values),
    build: oneOf("--build", values.build, builds),
  };
}

/** What the options say of memory. */
export function memoryOptions(
  values: Pick<ModelValues, "memory" | "weights" | "quantize">,
): Pick<LoadOptions, "memoryLimit" | "weights" | "quantize"> {
  return {
    memoryLimit: byteCount("--memory", values.memory),
    weights: oneOf("--weights", values.weights, ["resident", "stream"]),
    quantize: oneOf("--quantize", values.quantize, ["q8_0", "q4_0"]),
  };
}

/** The model that a command is given, which it cannot do without; "tiny" is the bundled one. */
export function modelArgument(positionals: readonly string[], command: string, example: string): string {
  const advice = "; a text is given with -p";
  const model = onePositional(positionals, "model", advice);
  if (model) return model;
  throw new UsageError(
    `expected a model, found none; name a GGUF, a folder of Hugging Face's or Meta's files or a llama2.c file, an address on the web, hf:owner/repo/file, or "tiny" for the bundled model: cria ${command} ${example}`,
  );
}

/** What the model is read from, by its name and --keep. */
export function modelSource(name: string, { keep }: ModelValues): SourceLike {
  if (keep === undefined) return name;
  if (!/^(https?|hf):/i.test(name)) {
    throw new UsageError(`--keep: expected a model on the web, found ${JSON.stringify(name)}`);
  }
  return { url: name, cache: fileName("--keep", keep) };
}

/** Loads the model, saying how far it is where somebody watches. */
export async function loadModel(
  from: SourceLike,
  options: LoadOptions,
): Promise<{ readonly model: Model; readonly loadMs: number }> {
  const line = progressLine();
  const began = performance.now();
  try {
    const model = await load(from, {
      ...options,
      onProgress: (progress) => line.show(progressText(progress)),
    });
    return { model, loadMs: performance.now() - began };
  } finally {
    line.clear();
  }
}

/** The pieces by their ids: null where the model has no vocabulary that says. */
export function pieces(model: Model): (id: number) => string | null {
  try {
    const { tokenizer } = model;
    return (id) => tokenizer.piece(id);
  } catch {
    return () => null;
  }
}
