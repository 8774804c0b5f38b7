import type { EndedBy, TokenTimings } from "../generate/generate-tokens.js";
import type { TokenLogprob } from "../sampling/log-probabilities.js";

/** One generated token. */
export interface Part {
  /**
   * The text that is known to be complete with this token: empty when the token ends within a character, when its text may be the
   * beginning of a stop string, or where the model has no tokenizer. What is still held back when a generation ends comes in one
   * more part, with the last token again; where that ends within a character, as U+FFFD.
   */
  readonly text: string;
  /** Its id. */
  readonly token: number;
  /**
   * With the option `logprobs`: the natural logarithm of the probability that the model gave the token, at temperature 1 and
   * before any step of sampling. A part that only brings text held back has none.
   */
  readonly logprob?: number | undefined;
  /** With the option `logprobs`: so many of the likeliest tokens, best first, the token itself perhaps among them. */
  readonly top?: readonly TokenLogprob[] | undefined;
}

/** A generation as a whole. */
export interface GenerationResult {
  /** The continuation, without the prompt. */
  readonly text: string;
  /** The generated ids. A token that ended the text is not among them; those of a stop string are. */
  readonly tokens: readonly number[];
  /** The ids that were fed as the prompt. */
  readonly promptTokens: readonly number[];
  /** "stop": the model ended the text, or a stop string did. "length": maxTokens or the end of the context was reached. */
  readonly finishReason: "stop" | "length";
  /** The same in more detail: by which token, or by which limit. */
  readonly endedBy: EndedBy;
  /** The stop string that ended the text, where one did. It is not part of the text. */
  readonly stopString?: string | undefined;
  /** How many tokens there were. */
  readonly usage: {
    /** Tokens of the prompt, those that were known included. */
    readonly promptTokens: number;
    /** Tokens that were generated. */
    readonly completionTokens: number;
    /** Both together. */
    readonly totalTokens: number;
    /** Tokens of the prompt that were not computed, since they began a text that came before. */
    readonly cachedTokens: number;
  };
  /** The seed that gives this text again, with the same model, prompt and options. */
  readonly seed: number;
  /** How long it took, and how fast that is. */
  readonly timings: {
    /** From the start to the first token, in milliseconds of computing. */
    readonly promptMs: number;
    /** Of the tokens that were computed. */
    readonly promptTokensPerSecond: number;
    /** From the first token to the last, without the time between two calls. */
    readonly decodeMs: number;
    /** Passes through the model in that time, per second; the first token came from the prompt. 0 where there was none. */
    readonly decodeTokensPerSecond: number;
  };
}

/**
 * Text on its way. Iterate over it for the parts as they come, once; or await it for the whole. Nothing is computed before
 * one of the two is asked for. Awaited after the iteration it gives the summary of that. An iteration that is left early
 * has no result: awaiting it rejects.
 */
export interface Generation extends AsyncIterable<Part, void, undefined>, PromiseLike<GenerationResult> {
  /**
   * The parts as a stream, in place of an iteration. Nothing is computed ahead of its reader; cancelling it is leaving the
   * iteration early.
   */
  toReadableStream(): ReadableStream<Part>;
}

export function generationResult(
  told: Pick<GenerationResult, "text" | "tokens" | "promptTokens" | "endedBy" | "stopString" | "seed">,
  { promptMs, decodeMs, decodeSteps }: TokenTimings,
  cachedTokens: number,
): GenerationResult {
  const perSecond = (count: number, ms: number) => (count ? (1000 * count) / ms : 0);
  return {
    ...told,
    finishReason: told.endedBy === "maxTokens" || told.endedBy === "context" ? "length" : "stop",
    usage: {
      promptTokens: told.promptTokens.length,
      completionTokens: told.tokens.length,
      totalTokens: told.promptTokens.length + told.tokens.length,
      cachedTokens,
    },
    timings: {
      promptMs,
      promptTokensPerSecond: perSecond(told.promptTokens.length - cachedTokens, promptMs),
      decodeMs,
      decodeTokensPerSecond: perSecond(decodeSteps, decodeMs),
    },
  };
}

/** A Generation over a generator of parts that returns the result. */
export function createGeneration(run: () => AsyncGenerator<Part, GenerationResult, undefined>): Generation {
  let begun = false;
  let settle!: { resolve(result: GenerationResult): void; reject(reason: unknown): void };
  const result = new Promise<GenerationResult>((resolve, reject) => {
    settle = { resolve, reject };
  });
  result.catch(() => {}); // who iterates gets the error there, and need not await the result as well

  async function* parts(): AsyncGenerator<Part, void, undefined> {
    try {
      settle.resolve(yield* run());
    } catch (error) {
      settle.reject(error);
      throw error;
    }
  }

  function begin(): AsyncGenerator<Part, void, undefined> {
    if (begun)
      throw new TypeError("Cannot iterate: expected the first iteration of this generation, found another");
    begun = true;
    const iteration = parts();
    const leave = iteration.return.bind(iteration);
    // also before the first part, when nothing of `parts` has run; once the result is there it changes nothing
    iteration.return = (value) => {
      settle.reject(new Error("Cannot give the result: the iteration was left before the text ended"));
      return leave(value);
    };
    return iteration;
  }

  return {
    [Symbol.asyncIterator]: begin,
    // biome-ignore lint/suspicious/noThenProperty: being awaited is what it is for
    then(onFulfilled, onRejected) {
      if (!begun) {
        const all = begin();
        const drain = async () => {
          while (!(await all.next()).done);
        };
        drain().catch(() => {}); // `result` has the error
      }
      return result.then(onFulfilled, onRejected);
    },
    toReadableStream() {
      const all = begin();
      return new ReadableStream(
        {
          async pull(controller) {
            const step = await all.next();
            if (step.done) controller.close();
            else controller.enqueue(step.value);
          },
          async cancel() {
            await all.return();
          },
        },
        { highWaterMark: 0 },
      );
    },
  };
}
