import type { EndedBy, GenerationResult, Model, Part } from "../runtime/index.js";
import {
  integer,
  type OptionTable,
  onePositional,
  parseArguments,
  tokenIds,
  UsageError,
} from "./arguments.js";
import {
  loadModel,
  loadOptions,
  modelOptions,
  modelOptionsHelp,
  modelSource,
  pieces,
} from "./model-options.js";
import { ClosedPipe, errorLine, grouped, Interrupted, interruptSignal, note, write } from "./output.js";
import { generateOptions, samplingOptions, samplingOptionsHelp } from "./sampling-options.js";
import { table } from "./table.js";

const options = {
  prompt: { type: "string", short: "p" },
  "prompt-tokens": { type: "string" },
  logprobs: { type: "string" },
  json: { type: "boolean" },
  ...samplingOptions,
  ...modelOptions,
} as const satisfies OptionTable;

/** -n: two or three paragraphs. */
const DEFAULT_MAX_TOKENS = 256;

const help = `cria run [MODEL] [-p PROMPT] [options]

Continues a text with a GGUF or llama2.c model, by default the bundled one ("tiny"). It goes to standard output as it is written, the prompt first; the seed, the speed and why it ended go to
standard error. Ctrl-C stops it.

  -p, --prompt TEXT    the text to continue (default: none, the model begins one)
  --prompt-tokens IDS  token ids to continue instead, between commas; nothing is added to them, and they are not shown
  --logprobs N         tells of each token how likely it was, and the N likeliest tokens there, on standard error
  --json               one JSON object instead of the text: text (the continuation only), tokens, promptTokens,
                       finishReason, seed, build, threads, layout, timings, endedBy, stopString, usage, and logprobs where asked for
${samplingOptionsHelp(DEFAULT_MAX_TOKENS)}

The model:${modelOptionsHelp}
`;

export const runCommand = { doing: "run", summary: "continue a text", help, execute };

async function execute(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArguments(args, options);
  if (values.help) return write(help);
  const ids = tokenIds("--prompt-tokens", values["prompt-tokens"]);
  if (ids && values.prompt !== undefined) {
    throw new UsageError("expected -p or --prompt-tokens, found both");
  }
  const sampling = generateOptions(values, DEFAULT_MAX_TOKENS);
  const logprobs = integer("--logprobs", values.logprobs, 0);
  const loading = loadOptions(values);
  const path = onePositional(positionals, "model", "; a text is given with -p") ?? "tiny";

  const signal = interruptSignal();
  const { model, loadMs } = await loadModel(modelSource(path, values), { ...loading, signal });
  const { build, threads, layout } = model;
  // as ids, so that a model that makes no tokenizer says so before anything is shown
  const prompt = ids ?? model.tokenize(values.prompt ?? "");
  const generation = model.generate(prompt, { ...sampling, logprobs, signal });
  const rows: LikelyRow[] = [];

  if (values.json) {
    for await (const part of generation) rows.push(...likelyRow(model, part));
    const { text, tokens, promptTokens, finishReason, endedBy, stopString, usage, seed, timings } =
      await generation;
    const result = { text, tokens, promptTokens, finishReason, seed, build, threads, layout };
    const more = { endedBy, stopString, usage, logprobs: logprobs === undefined ? undefined : rows };
    return write(`${JSON.stringify({ ...result, timings: { loadMs, ...timings }, ...more })}\n`);
  }

  let written = 0;
  const showText = hasText(model);
  try {
    await writing(async (show) => {
      // a prompt that the context does not hold is refused by the first step, and not shown before that
      if (values.prompt && prompt.length <= model.contextLength) await show(values.prompt);
      for await (const part of generation) {
        written++;
        await show(showText ? part.text : `${written > 1 ? " " : ""}${part.token}`);
        rows.push(...likelyRow(model, part));
      }
    });
  } catch (error) {
    if (error instanceof Interrupted)
      note(`seed ${sampling.seed}; interrupted after ${counted(written, "token")}`);
    throw error;
  }
  if (rows.length > 0) note(likelyTable(rows).trimEnd());
  tellEnd(await generation, sampling.maxTokens, loadMs, model);
}

interface LikelyToken {
  readonly token: number;
  readonly piece: string | null;
  readonly logprob: number;
}

interface LikelyRow extends LikelyToken {
  readonly top: readonly LikelyToken[];
}

/** What a part says of how likely its token was; none where it says nothing. */
function likelyRow(model: Model, { token, logprob, top = [] }: Part): LikelyRow[] {
  if (logprob === undefined) return [];
  const piece = pieces(model);
  const others = top.map((one) => ({ token: one.token, piece: piece(one.token), logprob: one.logprob }));
  return [{ token, piece: piece(token), logprob, top: others }];
}

function likelyTable(rows: readonly LikelyRow[]): string {
  const cells = ({ token, piece, logprob }: LikelyToken) => [
    piece ?? String(token),
    `${(100 * Math.exp(logprob)).toFixed(1)} %`,
  ];
  const lines = rows.map(({ top, ...own }) => [own, ...top].flatMap(cells));
  const columns = 1 + rows[0]!.top.length;
  const head = ["piece", "probability", ...(columns > 1 ? ["likeliest"] : [])];
  return table([head, ...lines], "lr".repeat(columns));
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
    stopString: `${JSON.stringify(result.stopString)} would have followed`,
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
