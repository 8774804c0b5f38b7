import type { Chat } from "../runtime/index.js";
import { type Desk, type Panel, sendByKey, writeInto } from "./desk.js";
import { element, make } from "./dom.js";
import { createTaskButton } from "./task-button.js";
import { createTokenView } from "./token-view.js";

/** A conversation in the model's own format. */
export function setUpChatPanel(desk: Desk): Panel {
  const form = element("chat-form", HTMLFormElement);
  const message = element("message", HTMLTextAreaElement);
  const system = element("system", HTMLTextAreaElement);
  const log = element("chat-log", HTMLElement);
  const hint = element("chat-hint", HTMLElement);
  const task = createTaskButton(
    element("chat-button", HTMLButtonElement),
    element("chat-error", HTMLElement),
  );
  let chat: Chat | undefined;

  function addAnswer() {
    const text = make("section", "text");
    text.tabIndex = 0;
    text.ariaLabel = "Answer; the arrow keys walk through its tokens";
    log.append(make("li", "assistant", make("span", "who", "cria"), text));
    return createTokenView(text, desk);
  }

  async function send(said: string, signal: AbortSignal): Promise<void> {
    const options = desk.settings.options();
    if (!options) return;
    const model = await desk.engine.model();
    signal.throwIfAborted();
    chat ??= model.chat(system.value.trim() ? { system: system.value } : {});
    const answer = chat.send(said, { ...options, signal });
    log.append(make("li", "user", make("span", "unseen", "You: "), said));
    message.value = "";
    const view = addAnswer();
    view.begin("", model.tokenizer);
    await writeInto(view, answer, model, desk);
  }

  const forget = () => {
    task.stop();
    chat = undefined;
    log.replaceChildren();
    hint.hidden = desk.engine.choice !== "tiny";
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const said = message.value;
    if (!task.running && !said.trim()) return message.focus();
    void task.press((signal) => send(said, signal));
  });
  element("chat-new", HTMLButtonElement).addEventListener("click", () => {
    forget();
    message.focus();
  });
  sendByKey(message, { plain: true });

  return { forget };
}
