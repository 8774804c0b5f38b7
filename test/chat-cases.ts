import { readFileSync } from "node:fs";
import type { ChatMessage } from "../runtime/chat/messages.js";
import { sharedData } from "./shared-data.js";

/** A conversation and what a model's template makes of it: by Jinja itself, in chat_template_cases.json of the shared data. */
export interface ChatCase {
  readonly family: string;
  readonly template: string;
  readonly messages: readonly ChatMessage[];
  readonly add_generation_prompt: boolean;
  /** Undefined for messages that the template refuses. */
  readonly expected?: string;
  /** What the template says of messages that it refuses. */
  readonly error?: string;
  readonly reasoning_effort?: string;
}

/** All cases; none where there is no shared data. */
export function chatCases(): readonly ChatCase[] {
  const path = sharedData("chat/chat_template_cases.json");
  if (!path) return [];
  const families = JSON.parse(readFileSync(path, "utf8")) as Record<
    string,
    { template: string; cases: Omit<ChatCase, "family" | "template">[] }
  >;
  return Object.entries(families).flatMap(([family, { template, cases }]) =>
    cases.map((one) => ({ ...one, family, template })),
  );
}

/** The names of the tokens around a text, in the models that the cases come from. */
export function boundaries(family: string): { readonly bos: string; readonly eos: string } {
  switch (family) {
    case "llama3":
      return { bos: "<|begin_of_text|>", eos: "<|eot_id|>" };
    case "gemma":
      return { bos: "<bos>", eos: "<eos>" };
    case "deepseek":
      return { bos: "<｜begin▁of▁sentence｜>", eos: "<｜end▁of▁sentence｜>" };
    case "phi3":
    case "phi4mini":
      return { bos: "<s>", eos: "<|endoftext|>" };
    default:
      return { bos: "<s>", eos: "</s>" };
  }
}

/** Markers of all formats, as a vocabulary may have them for control tokens. */
export const markers = [
  ...["<s>", "</s>", "<bos>", "<eos>", "<|begin_of_text|>", "<|eot_id|>", "<|endoftext|>"],
  ...["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<|im_start|>", "<|im_end|>", "<|end|>"],
  ...["<|start_header_id|>", "<|end_header_id|>", "<|user|>", "<|assistant|>", "<|system|>"],
  ...["<start_of_turn>", "<end_of_turn>"],
];
