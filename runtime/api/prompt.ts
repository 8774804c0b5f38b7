import { described } from "../check-options.js";

/** The prompt as it is now: the caller may change an array while the text is being written. Throws a TypeError for what is none. */
export function copied(prompt: string | readonly number[]): string | readonly number[] {
  if (typeof prompt === "string") return prompt;
  if (Array.isArray(prompt) || ArrayBuffer.isView(prompt)) return Array.from(prompt as readonly number[]);
  throw new TypeError(
    `Cannot take a prompt: expected a text or an array of token ids, found ${described(prompt)}`,
  );
}
