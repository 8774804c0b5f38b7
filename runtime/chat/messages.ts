import { checkNames, checkOption } from "../check-options.js";
import { ChatError } from "../errors.js";

/** One message of a conversation, in OpenAI's shape. */
export interface ChatMessage {
  /** Who says it. A system message comes first, where there is one. */
  readonly role: "system" | "user" | "assistant";
  /** What is said, plain text: nothing in it becomes a control token. */
  readonly content: string;
}

/**
 * A copy of messages, with nothing in it but role and content. Throws a TypeError for what is no message, and a ChatError where
 * there are none, or all are empty.
 */
export function checkedMessages(messages: readonly ChatMessage[]): ChatMessage[] {
  const doing = "render a chat";
  checkOption(doing, "messages", messages, "an array of messages", Array.isArray(messages));
  const checked = messages.map((message, i) => {
    checkNames(doing, message, ["role", "content"], "fields of a message");
    const { role, content } = message;
    const isRole = role === "system" || role === "user" || role === "assistant";
    checkOption(doing, `messages[${i}].role`, role, "system, user or assistant", isRole);
    checkOption(doing, `messages[${i}].content`, content, "a text", typeof content === "string");
    return { role, content };
  });
  if (!checked.some(({ content }) => content.trim() !== "")) {
    throw new ChatError(`Cannot ${doing}: expected a message that is not empty, found none`);
  }
  return checked;
}

/**
 * A system message in front, where there is one, and the others. Throws a ChatError unless these are from the user and the
 * assistant by turns, the user first.
 */
export function alternating(
  messages: readonly ChatMessage[],
  format: string,
): { readonly system: string | undefined; readonly turns: readonly ChatMessage[] } {
  const [first] = messages;
  const system = first?.role === "system" ? first.content : undefined;
  const turns = system === undefined ? messages : messages.slice(1);
  for (const [i, { role }] of turns.entries()) {
    const expected = i % 2 === 0 ? "user" : "assistant";
    if (role === expected) continue;
    throw new ChatError(
      `Cannot render a chat as ${format}: expected user and assistant by turns, the user first, found a message of role ${role} in place of ${expected}`,
    );
  }
  return { system, turns };
}
