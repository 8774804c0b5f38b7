import { ChatError } from "../errors.js";
import type { ChatFormat, RenderOptions } from "./formats.js";
import { createMask, riskyPlaces } from "./mask.js";
import type { ChatMessage } from "./messages.js";
import { type ChatPiece, cutAtControls } from "./pieces.js";
import { type CompiledTemplate, compileTemplate } from "./sandbox.js";

/** Values that a template may use beside the messages, such as `enable_thinking`. */
export type TemplateVariables = Readonly<Record<string, string | number | boolean>>;

/**
 * A model's own way to write down a conversation: a Jinja template, as GGUF files have it in `tokenizer.chat_template` and Hugging
 * Face's in their tokenizer_config.json. It comes from the model's file and is not trusted: see sandbox.ts.
 *
 * What messages say never becomes a control token. The template is run with every character of theirs hidden, which shows where
 * the control tokens are that it writes itself. Where it looks at what messages say, so that it writes something else then, it is
 * run with only those characters hidden that control tokens could be made of, and has to write the same control tokens.
 *
 * Throws a ChatError when the template is none, when it refuses the messages, and when it asks for too much.
 */
export async function templateFormat(
  template: string,
  variables: TemplateVariables = {},
): Promise<ChatFormat> {
  const compiled = await compileTemplate(template);
  return {
    name: "the model's chat template",
    render: (messages, options) => renderTemplate(compiled, variables, messages, options),
  };
}

function renderTemplate(
  compiled: CompiledTemplate,
  variables: TemplateVariables,
  messages: readonly ChatMessage[],
  { bos, eos, controls, addGenerationPrompt }: RenderOptions,
): ChatPiece[] {
  const mask = createMask();
  const render = (hide: (content: string) => string) =>
    compiled({
      ...variables,
      messages: messages.map(({ role, content }) => ({ role, content: hide(content) })),
      bos_token: bos ?? "",
      eos_token: eos ?? "",
      add_generation_prompt: addGenerationPrompt,
    });
  const revealed = (pieces: readonly ChatPiece[]) =>
    pieces.map((piece) => ("control" in piece ? piece : { text: mask.reveal(piece.text) }));

  const hidden = render((content) => mask.hide(content));
  const pieces = cutAtControls(hidden, controls);
  if (mask.reveal(hidden) === render((content) => content)) return revealed(pieces);

  const looking = cutAtControls(
    render((content) => {
      const risky = riskyPlaces(content, controls);
      return mask.hide(content, (at) => risky.has(at));
    }),
    controls,
  );
  if (controlsOf(looking) === controlsOf(pieces)) return revealed(looking);
  throw new ChatError(
    `Cannot render a chat with the model's template: expected the control tokens ${controlsOf(pieces)}, whatever the messages say, found ${controlsOf(looking)}`,
  );
}

function controlsOf(pieces: readonly ChatPiece[]): string {
  return JSON.stringify(pieces.flatMap((piece) => ("control" in piece ? [piece.control] : [])));
}
