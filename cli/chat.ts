import { readFile, writeFile } from "node:fs/promises";
import { createInterface, type Interface } from "node:readline";
import type { Chat, ChatFormatName, ChatMessage, EndedBy, Model } from "../runtime/index.js";
import { type OptionTable, oneOf, onePositional, parseArguments } from "./arguments.js";
import { loadModel, loadOptions, modelOptions, modelOptionsHelp, modelSource } from "./model-options.js";
import { ClosedPipe, errorLine, Interrupted, interruptSignal, note, write } from "./output.js";
import { generateOptions, samplingOptions, samplingOptionsHelp } from "./sampling-options.js";

const options = {
  system: { type: "string" },
  format: { type: "string" },
  ...samplingOptions,
  ...modelOptions,
} as const satisfies OptionTable;

const formats: readonly ChatFormatName[] = ["llama2", "chatml", "llama3", "mistral", "zephyr"];

/** -n: a page. */
const DEFAULT_MAX_TOKENS = 512;

const commands = `  /help          this list
  /system TEXT   tells the assistant what to know or keep to, from now on
  /reset         forgets what has been said, but for the system message
  /save FILE     writes the conversation to a file, as JSON
  /load FILE     goes on with one
  /exit          leaves, as does Ctrl-D
`;

const help = `cria chat [MODEL] [options]

Talks with a model, by default the bundled one ("tiny", which has learnt to tell stories only). A line is a message; answers go
to standard output, everything else to standard error. Ctrl-C stops an answer, which is kept as far as it came; another one
leaves.

${commands}
  --system TEXT        what the assistant is to know or to keep to
  --format NAME        how the conversation is written: llama2, chatml, llama3, mistral or zephyr (default: as the model's
                       file says; where it says nothing, llama2)
${samplingOptionsHelp(DEFAULT_MAX_TOKENS)}

The model:${modelOptionsHelp}
`;

export const chatCommand = { doing: "chat", summary: "talk with a model", help, execute };

async function execute(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArguments(args, options);
  if (values.help) return write(help);
  const sampling = generateOptions(values, DEFAULT_MAX_TOKENS);
  const format = oneOf("--format", values.format, formats);
  const loading = loadOptions(values);
  const path = onePositional(positionals, "model", "; a message is typed once the model is loaded") ?? "tiny";

  const { model } = await loadModel(modelSource(path, values), { ...loading, signal: interruptSignal() });
  const begin = (system: string | undefined, messages: readonly ChatMessage[]) =>
    model.chat({ format, system, messages });
  await talk(model, begin, begin(values.system, []), sampling);
}

type Sampling = ReturnType<typeof generateOptions>;
type Begin = (system: string | undefined, messages: readonly ChatMessage[]) => Chat;

/** Reads line by line until there are no more, or Ctrl-C is pressed while no answer is on its way. */
async function talk(model: Model, begin: Begin, first: Chat, sampling: Sampling): Promise<void> {
  const isTerminal = process.stdin.isTTY && process.stdout.isTTY;
  const lines = createInterface({
    input: process.stdin,
    ...(isTerminal ? { output: process.stdout, prompt: "> ", historySize: 1000 } : {}),
  });
  if (isTerminal)
    note(`seed ${sampling.seed}; ${model.contextLength} tokens of context; /help lists commands`);

  let answer: AbortController | undefined;
  let isInterrupted = false;
  const interrupt = () => {
    if (answer) return answer.abort(new Interrupted());
    isInterrupted = true;
    lines.close();
  };
  lines.on("SIGINT", interrupt); // of a terminal, which is read key by key
  process.on("SIGINT", interrupt);

  let chat = first;
  let seed = sampling.seed;
  try {
    ask(lines, isTerminal);
    for await (const line of lines) {
      const text = line.trim();
      if (text === "/exit") break;
      try {
        if (text.startsWith("/")) chat = await obey(text, chat, begin);
        else if (text) {
          answer = new AbortController();
          // another seed for each answer, so that the same question may get another one
          await reply(chat, text, { ...sampling, seed: seed++ }, answer.signal);
        }
      } catch (error) {
        if (error instanceof ClosedPipe) throw error;
        note(`cria: ${errorLine(error)}`);
      }
      answer = undefined;
      ask(lines, isTerminal);
    }
  } finally {
    lines.close();
    process.off("SIGINT", interrupt);
  }
  if (isTerminal) await write("\n");
  if (isInterrupted) throw new Interrupted();
}

function ask(lines: Interface, isTerminal: boolean): void {
  if (isTerminal) lines.prompt();
}

/** Writes the answer as it comes. Ends quietly when it is stopped. */
async function reply(chat: Chat, text: string, sampling: Sampling, signal: AbortSignal): Promise<void> {
  let isBegun = false;
  let endedBy: EndedBy | undefined;
  try {
    const generation = chat.send(text, { ...sampling, signal });
    for await (const part of generation) {
      const shown = isBegun ? part.text : part.text.trimStart(); // the space between the question and the answer
      if (!shown) continue;
      isBegun = true;
      await write(shown);
    }
    endedBy = (await generation).endedBy;
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
  } finally {
    await write("\n");
  }
  if (endedBy === "maxTokens") note(`-n ${sampling.maxTokens} was reached`);
  if (endedBy === "context") note("the context is full; /reset begins anew");
}

/** Does what a line beginning with a slash says. Gives the conversation to go on with. */
async function obey(line: string, chat: Chat, begin: Begin): Promise<Chat> {
  const [, name, value = ""] = /^\/(\S*)\s*(.*)$/.exec(line)!;
  const said = chat.messages.filter(({ role }) => role !== "system");
  switch (name) {
    case "help":
      note(commands.trimEnd());
      return chat;
    case "reset":
      chat.reset();
      return chat;
    case "system":
      return begin(value || undefined, said);
    case "save":
      await writeFile(fileOf(name, value), `${JSON.stringify({ messages: chat.messages }, null, 2)}\n`);
      note(`saved to ${value}`);
      return chat;
    case "load": {
      const loaded = begin(undefined, messagesOf(value, await readFile(fileOf(name, value), "utf8")));
      note(`loaded ${loaded.messages.length} messages`);
      return loaded;
    }
    default:
      throw new Error(`Cannot obey /${name}: expected one of the commands that /help lists`);
  }
}

function fileOf(command: string, name: string): string {
  if (name) return name;
  throw new Error(`Cannot ${command}: expected the name of a file, as in /${command} chat.json, found none`);
}

/** The messages in a file's text. Whether they are messages is for the chat to say. */
function messagesOf(path: string, text: string): readonly ChatMessage[] {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (cause) {
    throw new Error(`Cannot load ${path}: expected a conversation that /save wrote, found no JSON`, {
      cause,
    });
  }
  const messages = (content as { messages?: unknown } | null)?.messages;
  if (Array.isArray(messages)) return messages;
  throw new Error(`Cannot load ${path}: expected a conversation that /save wrote, found no messages`);
}
