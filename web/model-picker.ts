import { estimate, type Progress } from "../runtime/index.js";
import { bytesText, element, make, messageOf, nameIn } from "./dom.js";
import type { Choice, Engine, EngineState } from "./engine.js";
import { setUpKeptModels } from "./kept-models.js";

/**
 * The controls that choose a model: buttons, an address, what is kept, a file let fall anywhere on the page. Gives what shows what has
 * become of the choice.
 */
export function setUpModelPicker(engine: Engine): (choice: Choice, state: EngineState) => void {
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

  const kept = setUpKeptModels(begin);
  void kept.refresh();

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

  return (choice, state) => {
    showModel(choice, state);
    void showMemory(engine, state);
    if (state.kind === "ready" || state.kind === "failed") void kept.refresh();
  };
}

/**
 * What the model takes. It is known beforehand, and stays so: memories don't grow. (Chromium tells what a page takes in all, but seconds
 * later, and without most of the memories of WebAssembly.)
 */
async function showMemory(engine: Engine, state: EngineState): Promise<void> {
  const shown = element("memory", HTMLElement);
  shown.textContent = "–";
  if (state.kind !== "ready") return;
  const { choice } = engine;
  const { totalBytes } = await estimate(choice, { speed: false });
  if (engine.choice === choice) shown.textContent = bytesText(totalBytes);
}

function showModel(choice: Choice, state: EngineState): void {
  const progress = element("model-progress", HTMLProgressElement);
  const isLoading = state.kind === "loading";
  progress.hidden = !isLoading;
  element("model-cancel", HTMLButtonElement).hidden = !isLoading;
  element("model-error", HTMLElement).textContent = state.kind === "failed" ? messageOf(state.error) : "";
  element("model-state", HTMLElement).replaceChildren(
    make("strong", "", nameOf(choice)),
    ` ${describe(state)}`,
  );
  // apart from the state, which is read out
  const told = isLoading ? state.progress : undefined;
  element("model-rate", HTMLElement).textContent = told ? progressText(told) : "";
  if (told) progress.value = told.loaded / told.total;
  else progress.removeAttribute("value");
}

function nameOf(choice: Choice): string {
  if (choice === "tiny") return "cria tiny";
  return choice instanceof File ? choice.name : nameIn(choice);
}

function describe(state: EngineState): string {
  switch (state.kind) {
    case "chosen":
      return "loaded when you begin";
    case "loading":
      return state.progress?.phase === "check" ? "is checked" : "is loaded";
    case "failed":
      return "not loaded";
    case "ready": {
      const { layout, threads, build, contextLength, cacheType, inThread } = state.model;
      const workers = `${threads === 1 ? "one thread" : `${threads} threads`}${inThread ? ", the page's own" : ""}`;
      return `${layout} · context ${contextLength}, ${cacheType} cache · ${build}, ${workers} · loaded in ${(state.ms / 1000).toFixed(1)} s`;
    }
  }
}

function progressText({ loaded, total, bytesPerSecond, secondsLeft }: Progress): string {
  const rate = bytesPerSecond > 0 ? ` · ${bytesText(bytesPerSecond)}/s` : "";
  const left = secondsLeft === undefined ? "" : ` · ${secondsLeft.toFixed()} s left`;
  return `${bytesText(loaded)} of ${bytesText(total)}${rate}${left}`;
}
