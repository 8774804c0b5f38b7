import type { GenerateOptions, Model } from "../runtime/index.js";
import { type Desk, type Panel, sendByKey, writeInto } from "./desk.js";
import { element } from "./dom.js";
import { createTaskButton } from "./task-button.js";
import { createTokenView } from "./token-view.js";

/** Free writing: a text that goes on from a beginning, from where it stopped, or from another token than the one that was drawn. */
export function setUpWritePanel(desk: Desk): Panel {
  const form = element("write-form", HTMLFormElement);
  const prompt = element("prompt", HTMLTextAreaElement);
  const goOn = element("write-on", HTMLButtonElement);
  const task = createTaskButton(
    element("write-button", HTMLButtonElement),
    element("write-error", HTMLElement),
  );
  const text = element("write-text", HTMLElement);
  const view = createTokenView(text, { ...desk, onPick: (index, token) => void branch(index, token) });
  let promptIds: readonly number[] = [];

  const write = (begin: (model: Model) => readonly number[]) =>
    task.press(async (signal) => {
      const options = desk.settings.options();
      if (!options) return;
      goOn.disabled = true;
      const model = await desk.engine.model();
      signal.throwIfAborted(); // while it was loading
      await continueFrom(begin(model), model, { ...options, signal });
    });

  async function continueFrom(ids: readonly number[], model: Model, options: GenerateOptions): Promise<void> {
    try {
      await writeInto(view, model.generate(ids, options), model, desk);
    } finally {
      goOn.disabled = view.tokens.length === 0;
    }
  }

  /** Takes the text back to a token, puts another in its place and goes on from there. */
  async function branch(index: number, token: number): Promise<void> {
    task.stop();
    text.focus();
    while (task.running) await new Promise((resolve) => setTimeout(resolve, 10));
    await write((model) => {
      view.truncate(index);
      const decoder = model.tokenizer.decoder();
      for (const id of [...promptIds, ...view.tokens]) decoder.push(id);
      view.push({ text: decoder.push(token), token, logprob: 0 });
      return [...promptIds, ...view.tokens];
    });
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void write((model) => {
      promptIds = model.tokenize(prompt.value);
      view.begin(prompt.value, model.tokenizer);
      return promptIds;
    });
  });
  goOn.addEventListener("click", () => void write(() => [...promptIds, ...view.tokens]));
  sendByKey(prompt, { plain: false });

  return {
    forget() {
      task.stop();
      goOn.disabled = true; // the ids of another vocabulary
    },
  };
}
