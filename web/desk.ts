import type { Generation, Model } from "../runtime/index.js";
import type { Alternatives } from "./alternatives.js";
import type { Announcer } from "./announcer.js";
import type { Engine } from "./engine.js";
import type { Meters } from "./meters.js";
import type { Settings } from "./settings.js";
import type { TokenView } from "./token-view.js";

/** What writing and chatting have in common. */
export interface Desk {
  readonly engine: Engine;
  readonly settings: Settings;
  readonly meters: Meters;
  readonly announcer: Announcer;
  readonly alternatives: Alternatives;
}

/** A panel that is told when another model has been chosen: it lets go of what it has of the one before. */
export interface Panel {
  forget(): void;
}

/** Writes a text into a view as it comes, with its figures and its voice. */
export async function writeInto(
  view: TokenView,
  generation: Generation,
  model: Model,
  { meters, announcer }: Pick<Desk, "meters" | "announcer">,
): Promise<void> {
  const meter = meters.begin(model.contextLength, view.tokens.length);
  view.busy(true);
  try {
    for await (const part of generation) {
      view.push(part);
      if (part.logprob !== undefined) meter.token();
      announcer.push(part.text);
    }
    meter.end(await generation);
  } finally {
    view.busy(false);
    announcer.end();
  }
}

/** Ctrl+Enter (or Cmd+Enter) in a field sends its form; with `plain`, Enter alone does, and Shift+Enter begins a line. */
export function sendByKey(field: HTMLTextAreaElement, { plain }: { readonly plain: boolean }): void {
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    if (!(event.ctrlKey || event.metaKey || (plain && !event.shiftKey))) return;
    event.preventDefault();
    field.form?.requestSubmit();
  });
}
