import { type ChatFormat, type ChatFormatName, chatFormats } from "../chat/formats.js";
import { type ChatMessage, checkedMessages } from "../chat/messages.js";
import { type ChatPiece, joined } from "../chat/pieces.js";
import type { TemplateVariables } from "../chat/template.js";
import { checkNames, checkObject, checkOption } from "../check-options.js";
import type { Owner } from "../engine/engine.js";
import { ChatError } from "../errors.js";
import type { ChatEncoder } from "./chat-encoder.js";
import { createGeneration, type Generation, type GenerationResult, type Part } from "./generation.js";
import type { GenerateOptions, Writing } from "./model.js";

/** A format by its name, or a Jinja template with what it is given beside the messages. */
export type ChatFormatOption =
  | ChatFormatName
  | {
      /** The Jinja template, as Hugging Face's tokenizer_config.json has it. */
      readonly template: string;
      /** What the template is given beside the messages. Default: nothing. */
      readonly variables?: TemplateVariables | undefined;
    };

/** How `renderChat` writes a conversation down. */
export interface RenderChatOptions {
  /** Default: the chat template of the model's file; where it has none, "llama2". */
  readonly format?: ChatFormatOption | undefined;
  /** Whether to end with what the assistant's answer begins after. Default: true. */
  readonly addGenerationPrompt?: boolean | undefined;
}

/** How a conversation begins. */
export interface ChatOptions {
  /** What the assistant is to know or to keep to. Default: nothing. */
  readonly system?: string | undefined;
  /** Default: the chat template of the model's file; where it has none, "llama2". */
  readonly format?: ChatFormatOption | undefined;
  /** What has been said already, such as the `messages` of another chat; its own system message is one only without `system`. */
  readonly messages?: readonly ChatMessage[] | undefined;
}

/** A conversation. */
export interface Chat {
  /** All that has been said, the system message first. */
  readonly messages: readonly ChatMessage[];
  /**
   * Says something, and gives the answer on its way: iterate over it or await it, as of `generate`, whose options it takes. The
   * answer belongs to the conversation when it has ended; of one that is aborted or left early, what has been written of it. When
   * nothing has been written yet the conversation is as before.
   *
   * What has been computed of the conversation is not computed again. When the context is full, `contextFull: "shift"` leaves the oldest
   * turns out of what the model is told, and keeps the system message; an answer that fills the context by itself ends there.
   *
   * Throws as generate does, and when the answer before is still on its way; a ChatError for an empty message or a template that
   * fails.
   */
  send(text: string, options?: GenerateOptions): Generation;
  /** Forgets all but the system message. Throws while an answer is on its way. */
  reset(): void;
}

/** What a chat needs of a model. */
export interface ChatModel {
  /** Throws a ModelError where the model has no tokenizer. */
  readonly encoder: () => ChatEncoder;
  /** The id that texts begin with, where the model wants one in front. */
  readonly bosInFront: number | undefined;
  /** The template of the model's file. */
  readonly template: string | undefined;
  readonly contextLength: number;
  /** Checks the options, and gives what starts a generation. */
  readonly start: (options: GenerateOptions) => (writing: Writing) => Generation;
}

/** With contextFull "shift": part of the context that is kept free for an answer, unless maxTokens says less. */
const ROOM_FOR_ANSWER = 1 / 4;

/** Stands for an answer while what comes after it is rendered: the last code point for private use. */
const sentinel = "\u{10fffd}";

/** The ids of a conversation. Rejects with a TypeError for what is no message, a ChatError for messages that cannot be rendered. */
export async function renderChat(
  { encoder, bosInFront, template }: ChatModel,
  messages: readonly ChatMessage[],
  options: RenderChatOptions = {},
): Promise<number[]> {
  checkNames("render a chat", options, ["format", "addGenerationPrompt"]);
  const format = await formatOf(checkedFormat(options.format), template);
  const addGenerationPrompt = options.addGenerationPrompt ?? true;
  return withBos(encoder().encode(render(format, messages, encoder(), addGenerationPrompt)), bosInFront);
}

export function createChat(model: ChatModel, owner: Owner, options: ChatOptions = {}): Chat {
  checkNames("chat", options, ["system", "format", "messages"]);
  const { system, messages: said = [] } = options;
  checkOption("chat", "system", system, "a text", system === undefined || typeof system === "string");
  const asked = checkedFormat(options.format);
  const encoder = model.encoder();
  const before = Array.isArray(said) && said.length === 0 ? [] : checkedMessages(said);
  const opening = before.filter(({ role }, i) => i === 0 && role === "system");
  const first: readonly ChatMessage[] =
    system === undefined ? opening : [{ role: "system", content: system }];
  let messages: readonly ChatMessage[] = [...first, ...before.slice(opening.length)];
  /** The ids of all messages as they were fed and written, where these are just what the format would have. */
  let history: readonly number[] | undefined;
  /** So many of the messages after the first ones are no longer told to the model. */
  let leftOut = 0;
  let isAnswering = false;

  /** The ids to go on from: those of the history, and what the format puts between it and the next answer. */
  async function promptIds({ contextFull, maxTokens }: GenerateOptions): Promise<readonly number[]> {
    const format = await formatOf(asked, model.template);
    const tail = history && (await tailAfterAnswer(format));
    let ids =
      history && tail
        ? [...history, ...encoder.encode(tail)]
        : withBos(encoder.encode(render(format, told(), encoder, true)), model.bosInFront);
    if (contextFull !== "shift") return ids;
    const room = Math.min(maxTokens ?? Number.POSITIVE_INFINITY, model.contextLength * ROOM_FOR_ANSWER);
    // the last message is what is to be answered, and the turn before it the oldest that can go
    while (ids.length + room > model.contextLength && told().length - first.length > 2) {
      leftOut += 2;
      ids = withBos(encoder.encode(render(format, told(), encoder, true)), model.bosInFront);
    }
    return ids;
  }

  /** What the model is told: the first messages, and those that are not left out. */
  const told = () => [...messages.slice(0, first.length), ...messages.slice(first.length + leftOut)];

  /** What is rendered after the last answer; undefined where that cannot be told. */
  async function tailAfterAnswer(format: ChatFormat): Promise<ChatPiece[] | undefined> {
    if (told().some(({ content }) => content.includes(sentinel))) return undefined;
    const marked = told().map((message, i, all) =>
      i === all.length - 2 ? { ...message, content: sentinel } : message,
    );
    return piecesAfterSentinel(render(format, marked, encoder, true));
  }

  async function* answer(
    text: string,
    generation: Generation,
  ): AsyncGenerator<Part, GenerationResult, undefined> {
    if (isAnswering) {
      throw new Error("Cannot send: expected the answer before to have ended, it is still on its way");
    }
    isAnswering = true;
    const before = { messages, leftOut };
    let written = "";
    let isWhole = false;
    messages = [...messages, { role: "user", content: text }];
    try {
      for await (const part of generation) {
        written += part.text;
        yield part;
      }
      const result = await generation;
      isWhole = true;
      // the tokens of a stop string are written, but not said
      history = result.endedBy === "stopString" ? undefined : [...result.promptTokens, ...result.tokens];
      return result;
    } finally {
      if (isWhole || written) messages = [...messages, { role: "assistant", content: written }];
      else ({ messages, leftOut } = before);
      if (!isWhole && written) history = undefined;
      isAnswering = false;
    }
  }

  return {
    get messages() {
      return messages;
    },
    send(text, options = {}) {
      checkOption("send", "the message", text, "a text", typeof text === "string");
      if (text.trim() === "") throw new ChatError("Cannot send: expected a message, found an empty one");
      checkObject("send", options);
      // turns make room, not tokens: an answer that fills what is left of the context ends there
      const { contextFull } = options;
      const room = contextFull === "shift" ? { ...options, contextFull: "stop" as const } : options;
      const start = model.start(withStop(room, endOfTurn(asked, model.template, encoder)));
      const generation = start({ owner, prompt: () => promptIds(options) });
      return createGeneration(() => answer(text, generation));
    },
    reset() {
      if (isAnswering) throw new Error("Cannot reset: expected no answer on its way, found one");
      messages = first;
      history = undefined;
      leftOut = 0;
    },
  };
}

function render(
  format: ChatFormat,
  messages: readonly ChatMessage[],
  { bos, eos, controls }: ChatEncoder,
  addGenerationPrompt: boolean,
): ChatPiece[] {
  return format.render(checkedMessages(messages), { bos, eos, controls, addGenerationPrompt });
}

function withBos(ids: number[], bos: number | undefined): number[] {
  return bos === undefined || ids[0] === bos ? ids : [bos, ...ids];
}

function checkedFormat(format: ChatFormatOption | undefined): ChatFormatOption | undefined {
  const names = Object.keys(chatFormats);
  const isFormat =
    format === undefined ||
    (typeof format === "string" ? names.includes(format) : typeof format?.template === "string");
  checkOption("render a chat", "format", format, `one of ${names.join(", ")}, or a { template }`, isFormat);
  return format;
}

/** The format asked for, or the model's own. */
async function formatOf(asked: ChatFormatOption | undefined, own: string | undefined): Promise<ChatFormat> {
  if (typeof asked === "string") return chatFormats[asked];
  const { template, variables } = asked ?? { template: own, variables: undefined };
  if (template === undefined) return chatFormats.llama2;
  // not with this module: a page that holds no conversations would load it for nothing
  const { templateFormat } = await import("../chat/template.js");
  return templateFormat(template, variables);
}

/** The text that ends an answer, where the vocabulary has no token for it. */
function endOfTurn(
  asked: ChatFormatOption | undefined,
  template: string | undefined,
  { controls }: ChatEncoder,
): string | undefined {
  const name = asked ?? (template === undefined ? "llama2" : undefined);
  if (typeof name !== "string") return undefined;
  const { endOfTurn } = chatFormats[name];
  return endOfTurn !== undefined && controls.includes(endOfTurn) ? undefined : endOfTurn;
}

function withStop(options: GenerateOptions, end: string | undefined): GenerateOptions {
  if (end === undefined) return options;
  const { stop = [] } = options;
  return { ...options, stop: typeof stop === "string" ? [end, stop] : [end, ...stop] };
}

/**
 * What comes after the sentinel, which has to be there once. Spaces between it and a control token are left out: such are the
 * model's to write.
 */
function piecesAfterSentinel(pieces: readonly ChatPiece[]): ChatPiece[] | undefined {
  const places = pieces.flatMap((piece, i) => ("text" in piece && piece.text.includes(sentinel) ? [i] : []));
  const [at] = places;
  const piece = at === undefined ? undefined : pieces[at];
  if (places.length !== 1 || !piece || !("text" in piece)) return undefined;
  const [, after, ...more] = piece.text.split(sentinel);
  if (more.length > 0) return undefined;
  const rest = pieces.slice(at! + 1);
  const isSpaceBeforeControl = rest.length > 0 && after!.trim() === "";
  return joined([{ text: isSpaceBeforeControl ? "" : after! }, ...rest]);
}
