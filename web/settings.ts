import type { GenerateOptions } from "../runtime/index.js";
import { element } from "./dom.js";

/** Alternatives that are shown of each token. */
const ALTERNATIVES = 6;

export interface Settings {
  /** The options to write with now; a new seed among them, where one is wanted. Undefined where a field holds no valid number. */
  options(): GenerateOptions | undefined;
}

export function setUpSettings(): Settings {
  const form = element("settings", HTMLFormElement);
  const temperature = range("temperature");
  const topP = range("top-p");
  const maxTokens = element("max-tokens", HTMLInputElement);
  const seed = element("seed", HTMLInputElement);
  const newSeed = element("new-seed", HTMLInputElement);
  form.addEventListener("submit", (event) => event.preventDefault());
  seed.addEventListener("input", () => {
    newSeed.checked = false;
  });
  return {
    options() {
      if (newSeed.checked) seed.value = String(crypto.getRandomValues(new Uint32Array(1))[0]);
      if (!form.reportValidity()) return undefined;
      return {
        temperature: temperature.valueAsNumber,
        topP: topP.valueAsNumber,
        maxTokens: maxTokens.valueAsNumber || 1,
        seed: seed.valueAsNumber || 0,
        logprobs: ALTERNATIVES,
      };
    },
  };
}

/** A slider that shows its number. */
function range(id: string): HTMLInputElement {
  const input = element(id, HTMLInputElement);
  const shown = element(`${id}-shown`, HTMLOutputElement);
  const show = () => {
    shown.value = input.value;
  };
  input.addEventListener("input", show);
  show(); // a browser that comes back to the page fills fields in
  return input;
}
