import { randomInt } from "node:crypto";
import type { EndedBy, GenerationResult, Model } from "../runtime/index.js";
import {
  decimal,
  integer,
  type OptionTable,
  onePositional,
  parseArguments,
  tokenIds,
  UsageError,
} from "./arguments.js";
import { loadModel, loadOptions, modelOptions, modelOptionsHelp } from "./model-options.js";
import { ClosedPipe, errorLine, grouped, Interrupted, interruptSignal, note, write } from "./output.js";

const options = {
  prompt: { type: "string", short: "p" },
  "prompt-tokens": { type: "string" },
  "max-tokens": { type: "string", short: "n" },
  temperature: { type: "string" },
  "top-k": { type: "string" },
  "top-p": { type: "string" },
  seed: { type: "string" },
  json: { type: "boolean" },
  ...modelOptions,
} as const satisfies OptionTable;

const help = `cria run [MODEL] [-p PROMPT] [options]

Continues a text with a GGUF or llama2.c model, by default the bundled one ("tiny"). It goes to standard output as it is written, the prompt first; the seed, the speed and why it ended go to
standard error. Ctrl-C stops it.

  -p, --prompt TEXT    the text to continue (default: none, the model begins one)
  --prompt-tokens IDS  token ids to continue instead, between commas; nothing is added to them, and they are not shown
  -n, --max-tokens N   most tokens to write (default 256)
  --temperature T      divides the logits; 0 always takes the likeliest token (default 0.8)
  --top-k K            draw from the K likeliest tokens only; 0 is no limit (default 40)
  --top-p P            draw from the likeliest tokens that have the probability P together; 1 is no limit (default 0.95)
  --seed S             the same seed writes the same text (default: a random one, which is shown)
  --json               one JSON object instead of the text: text (the continuation only), tokens, promptTokens,
                       finishReason, seed, build, threads, layout, timings, endedBy${modelOptionsHelp}
`;

export const runCommand = { doing: "run", summary: "continue a text", help, execute };

/** -n: two or three paragraphs. */
const DEFAULT_MAX_TOKENS = 256;

async function execute(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArguments(args, options);
  if (values.help) return write(help);
  const ids = tokenIds("--prompt-tokens", values["prompt-tokens"]);
  if (ids && values.prompt !== undefined) {
    throw new UsageError("expected -p or --prompt-tokens, found both");
  }
  const sampling = {
    maxTokens: integer("-n", values["max-tokens"], 0) ?? DEFAULT_MAX_TOKENS,
    temperature: decimal("--temperature", values.temperature),
    topK: integer("--top-k", values["top-k"], 0),
    topP: decimal("--top-p", values["top-p"], 1),
    // drawn here, so that it can be told of a text that Ctrl-C has ended
    seed: integer("--seed", values.seed, 0) ?? randomInt(2 ** 32),
  };
  const loading = loadOptions(values);
  const path = onePositional(positionals, "model", "; a text is given with -p") ?? "tiny";

  const signal = interruptSignal();
  const { model, loadMs } = await loadModel(path, { ...loading, signal });
  const { build, threads, layout } = model;
  // as ids, so that a model that makes no tokenizer says so before anything is shown
  const prompt = ids ?? model.tokenize(values.prompt ?? "");
  const generation = model.generate(prompt, { ...sampling, signal });

  if (values.json) {
    const { text, tokens, promptTokens, finishReason, endedBy, seed, timings } = await generation;
    const result = { text, tokens, promptTokens, finishReason, seed, build, threads, layout };
    return write(`${JSON.stringify({ ...result, timings: { loadMs, ...timings }, endedBy })}\n`);
  }

  let written = 0;
  const showText = hasText(model);
  try {
    await writing(async (show) => {
      // a prompt that the context does not hold is refused by the first step, and not shown before that
      if (values.prompt && prompt.length <= model.contextLength) await show(values.prompt);
      for await (const { text, token } of generation) {
        written++;
        await show(showText ? text : `${written > 1 ? " " : ""}${token}`);
      }
    });
  } catch (error) {
    if (error instanceof Interrupted)
      note(`seed ${sampling.seed}; interrupted after ${counted(written, "token")}`);
    throw error;
  }
  tellEnd(await generation, sampling.maxTokens, loadMs, model);
}

/** Text on a terminal ends with a line's end, also when an error or Ctrl-C ends it, so that what follows has its own line. */
async function writing(body: (show: (text: string) => Promise<void>) => Promise<void>): Promise<void> {
  let begun = false;
  try {
    await body(async (text) => {
      if (!text) return;
      begun = true;
      await write(text);
    });
  } catch (error) {
    // what ended the text is worth more than what this write may end in
    if (begun && !(error instanceof ClosedPipe)) await write("\n").catch(() => {});
    throw error;
  }
  await write("\n");
}

/** Whether the model has a tokenizer; says that ids will stand for the text where it has none. */
function hasText(model: Model): boolean {
  try {
    return model.tokenizer !== undefined;
  } catch (error) {
    note(`note: token ids are written instead of text. ${errorLine(error)}`);
    return false;
  }
}

function tellEnd(
  result: GenerationResult,
  maxTokens: number,
  loadMs: number,
  { build, threads, layout }: Model,
): void {
  const { seed, promptTokens, tokens, endedBy, timings } = result;
  const reasons: Readonly<Record<EndedBy, string>> = {
    eos: "the model ended the text",
    eot: "the model ended its turn",
    bos: "the model began another text",
    maxTokens: `-n ${maxTokens} was reached`,
    context: "the context is full",
  };
  const tokensAt = (count: number, tokensPerSecond: number) =>
    `${counted(count, "token")}, ${grouped(Math.round(tokensPerSecond))} tokens/s`;
  note(
    `seed ${seed}; loaded in ${Math.round(loadMs)} ms; ${build} kernels on ${layout}, ${counted(threads, "thread")}`,
  );
  note(
    `prompt: ${tokensAt(promptTokens.length, timings.promptTokensPerSecond)}; ` +
      `written: ${tokensAt(tokens.length, timings.decodeTokensPerSecond)}; ${reasons[endedBy]}`,
  );
}

function counted(count: number, noun: string): string {
  return `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;
}
