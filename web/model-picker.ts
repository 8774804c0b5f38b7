import { element, make, messageOf } from "./dom.js";
import type { Choice, Engine, EngineState } from "./engine.js";

/** The controls that choose a model: buttons, an address, a file let fall anywhere on the page. */
export function setUpModelPicker(engine: Engine): void {
  const file = element("model-file", HTMLInputElement);
  const address = element("model-url", HTMLFormElement);
  const begin = (choice: Choice) => {
    engine.choose(choice);
    engine.model().catch(() => {}); // shown by the engine's state
  };
  element("model-tiny", HTMLButtonElement).addEventListener("click", () => begin("tiny"));
  element("model-cancel", HTMLButtonElement).addEventListener("click", () => engine.cancel());
  file.addEventListener("change", () => {
    const [chosen] = file.files ?? [];
    if (chosen) begin(chosen);
    file.value = ""; // so that the same file can be chosen again
  });
  address.addEventListener("submit", (event) => {
    event.preventDefault();
    begin(String(new FormData(address).get("url")).trim());
  });

  const { classList } = document.body;
  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    classList.remove("dropping");
    const [dropped] = event.dataTransfer?.files ?? [];
    if (!dropped) return;
    event.preventDefault();
    begin(dropped);
  });
}

/** Shows which model is chosen, and what has become of it. */
export function showModel(choice: Choice, state: EngineState): void {
  const progress = element("model-progress", HTMLProgressElement);
  const isLoading = state.kind === "loading";
  progress.hidden = !isLoading;
  element("model-cancel", HTMLButtonElement).hidden = !isLoading;
  element("model-error", HTMLElement).textContent = state.kind === "failed" ? messageOf(state.error) : "";
  element("model-state", HTMLElement).replaceChildren(
    make("strong", "", nameOf(choice)),
    ` ${describe(state)}`,
  );
  if (!isLoading) return;
  const { loaded, total } = state.progress ?? {};
  if (total) progress.value = loaded! / total;
  else progress.removeAttribute("value");
}

function nameOf(choice: Choice): string {
  if (choice === "tiny") return "cria tiny";
  return choice instanceof File ? choice.name : choice.split("/").at(-1) || choice;
}

function describe(state: EngineState): string {
  switch (state.kind) {
    case "chosen":
      return "loaded when you begin";
    case "loading":
      return state.progress ? `${size(state.progress.total)} of weights` : "opening";
    case "failed":
      return "not loaded";
    case "ready": {
      const { layout, threads, build, contextLength, cacheType } = state.model;
      const workers = threads === 1 ? "one thread" : `${threads} threads`;
      return `${layout} · context ${contextLength}, ${cacheType} cache · ${build}, ${workers} · loaded in ${(state.ms / 1000).toFixed(1)} s`;
    }
  }
}

function size(bytes: number): string {
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}
