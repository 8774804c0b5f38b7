import { getLlama, getModuleVersion, LlamaLogLevel, type Token } from "node-llama-cpp";

/** A model in llama.cpp, on the CPU, with one thread, its cache in f32 and without flash attention: as close to cria as it can be set. */
export interface LlamaCpp {
  /** Logits of every position, fed from position 0 on as one batch. */
  logitsOf(ids: readonly number[]): Promise<Float32Array[]>;
  /** Logits of the next position, after feeding one more id. */
  step(id: number): Promise<Float32Array>;
  /** The ids of a text, without bos. */
  tokenize(text: string): number[];
  /** Back to position 0. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

const llama = await getLlama({ gpu: false, build: "never", logLevel: LlamaLogLevel.error });

/** Versions of the package and of the llama.cpp in it. */
export async function versions(): Promise<string> {
  return `node-llama-cpp ${await getModuleVersion()} (llama.cpp ${llama.llamaCppRelease.release})`;
}

export async function openLlamaCpp(
  path: string,
  vocabSize: number,
  contextLength: number,
): Promise<LlamaCpp> {
  const model = await llama.loadModel({ modelPath: path });
  const context = await model.createContext({
    contextSize: contextLength,
    batchSize: contextLength,
    flashAttention: false,
    experimentalKvCacheKeyType: "F32",
    experimentalKvCacheValueType: "F32",
    threads: 1,
  });
  const sequence = context.getSequence();

  async function feed(ids: readonly number[]): Promise<Float32Array[]> {
    const answers = await sequence.controlledEvaluate(
      ids.map((id) => [id as Token, { generateNext: { logits: true, options: { temperature: 0 } } }]),
    );
    return answers.map((answer) => {
      const logits = new Float32Array(vocabSize).fill(Number.NaN);
      for (const [id, logit] of answer!.next.logits!) logits[id] = logit;
      if (logits.some(Number.isNaN)) throw new Error("llama.cpp gave no logit for some of the vocabulary");
      return logits;
    });
  }

  return {
    logitsOf: feed,
    step: async (id) => (await feed([id]))[0]!,
    tokenize: (text) => model.tokenize(text, false),
    restart: () => sequence.clearHistory(),
    close: () => model.dispose(),
  };
}
