import { ChatError } from "../errors.js";
import { alternating, type ChatMessage } from "./messages.js";
import { type ChatPiece, joined } from "./pieces.js";

/** What a format needs to know of a model and a request. */
export interface RenderOptions {
  /** Names of the tokens that begin and end a text; undefined where the vocabulary has none. */
  readonly bos: string | undefined;
  readonly eos: string | undefined;
  /** Names of all control tokens of the vocabulary. A marker that is none of them is text. */
  readonly controls: readonly string[];
  /** Whether the assistant is to speak next: ends with what its answer begins after. */
  readonly addGenerationPrompt: boolean;
}

/** A way to write down a conversation for a model. */
export interface ChatFormat {
  readonly name: string;
  /** The marker after an answer, where it is not the vocabulary's eos. */
  readonly endOfTurn?: string;
  /** Throws a ChatError for messages that the format has no way to write. */
  render(messages: readonly ChatMessage[], options: RenderOptions): ChatPiece[];
}

/** The names that formats have. */
export type ChatFormatName = "llama2" | "chatml" | "llama3" | "mistral" | "zephyr";

/**
 * Llama 2 chat: Meta's chat_completion (facebookresearch/llama, generation.py). Each exchange is a text of its own, with bos in front
 * and eos after the answer; the system message goes into the first user message.
 *
 *     <s>[INST] <<SYS>>\n{system}\n<</SYS>>\n\n{user} [/INST] {assistant} </s><s>[INST] {user} [/INST]
 */
const llama2: ChatFormat = {
  name: "llama2",
  render(messages, options) {
    const { system, turns } = alternating(messages, "llama2");
    return pieces(
      options,
      turns.flatMap(({ role, content }, i): Part[] => {
        const opening = i === 0 && system !== undefined ? `<<SYS>>\n${system}\n<</SYS>>\n\n` : "";
        if (role === "user") return [bos, `[INST] ${(opening + content).trim()} [/INST]`];
        return [` ${content.trim()} `, eos];
      }),
    );
  },
};

/** ChatML, of OpenAI and many others: `<|im_start|>{role}\n{content}<|im_end|>\n`. */
const chatml: ChatFormat = {
  name: "chatml",
  endOfTurn: "<|im_end|>",
  render(messages, options) {
    const begin = (role: string) => [marker("<|im_start|>"), `${role}\n`];
    return pieces(options, [
      ...messages.flatMap(({ role, content }) => [...begin(role), content, marker("<|im_end|>"), "\n"]),
      ...(options.addGenerationPrompt ? begin("assistant") : []),
    ]);
  },
};

/** Llama 3: `<|start_header_id|>{role}<|end_header_id|>\n\n{content}<|eot_id|>`, after bos. */
const llama3: ChatFormat = {
  name: "llama3",
  endOfTurn: "<|eot_id|>",
  render(messages, options) {
    const begin = (role: string) => [
      marker("<|start_header_id|>"),
      role,
      marker("<|end_header_id|>"),
      "\n\n",
    ];
    return pieces(options, [
      bos,
      ...messages.flatMap(({ role, content }) => [...begin(role), content.trim(), marker("<|eot_id|>")]),
      ...(options.addGenerationPrompt ? begin("assistant") : []),
    ]);
  },
};

/** Mistral's first instruct models: `<s>[INST] {user} [/INST]{assistant}</s> [INST] {user} [/INST]`, without system messages. */
const mistral: ChatFormat = {
  name: "mistral",
  render(messages, options) {
    const { system, turns } = alternating(messages, "mistral");
    if (system !== undefined) {
      throw new ChatError(
        "Cannot render a chat as mistral: expected user and assistant by turns, found a system message, for which it has no place",
      );
    }
    return pieces(options, [
      bos,
      ...turns.flatMap(({ role, content }): Part[] =>
        role === "user" ? [`[INST] ${content} [/INST]`] : [content, eos, " "],
      ),
    ]);
  },
};

/** Zephyr: `<|user|>\n{content}</s>\n`, its markers as text. */
const zephyr: ChatFormat = {
  name: "zephyr",
  render(messages, options) {
    return pieces(options, [
      ...messages.flatMap(({ role, content }) => [marker(`<|${role}|>`), `\n${content}`, eos, "\n"]),
      ...(options.addGenerationPrompt ? [marker("<|assistant|>"), "\n"] : []),
    ]);
  },
};

export const chatFormats: Readonly<Record<ChatFormatName, ChatFormat>> = {
  llama2,
  chatml,
  llama3,
  mistral,
  zephyr,
};

/** Marks where the vocabulary's own tokens go. */
const bos = { special: "bos" } as const;
const eos = { special: "eos" } as const;

function marker(name: string): { readonly marker: string } {
  return { marker: name };
}

/** Text, a marker by its name, or one of the vocabulary's own tokens. */
type Part = string | { readonly marker: string } | { readonly special: "bos" | "eos" };

function pieces(options: RenderOptions, parts: readonly Part[]): ChatPiece[] {
  return joined(
    parts.map((part) => {
      if (typeof part === "string") return { text: part };
      if ("special" in part) {
        const name = options[part.special];
        return name === undefined ? { text: "" } : { control: name };
      }
      return options.controls.includes(part.marker) ? { control: part.marker } : { text: part.marker };
    }),
  );
}
