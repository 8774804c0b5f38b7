import { createAlternatives } from "./alternatives.js";
import { createAnnouncer } from "./announcer.js";
import { setUpChatPanel } from "./chat-panel.js";
import type { Panel } from "./desk.js";
import { element } from "./dom.js";
import { createEngine, type Engine } from "./engine.js";
import { setUpServiceWorker } from "./isolation.js";
import { setUpKernelsPanel } from "./kernels-panel.js";
import { setUpMeters } from "./meters.js";
import { setUpModelPicker } from "./model-picker.js";
import { setUpSettings } from "./settings.js";
import { setUpTabs } from "./tabs.js";
import { setUpTheme } from "./theme.js";
import { setUpWritePanel } from "./write-panel.js";

setUpTheme();
const panels: Panel[] = [];
const engine: Engine = createEngine((choice, state) => {
  showModel(choice, state);
  if (state.kind === "chosen") for (const panel of panels) panel.forget();
});
const showModel = setUpModelPicker(engine);
const desk = {
  engine,
  settings: setUpSettings(),
  meters: setUpMeters(),
  announcer: createAnnouncer(element("spoken", HTMLElement)),
  alternatives: createAlternatives(element("alternatives", HTMLElement)),
};

setUpTabs(document.querySelector<HTMLElement>('[role="tablist"]')!);
panels.push(setUpWritePanel(desk), setUpChatPanel(desk));
setUpKernelsPanel();
showModel(engine.choice, { kind: "chosen" });

const tint = element("tint", HTMLInputElement);
tint.addEventListener("change", () => document.body.classList.toggle("untinted", !tint.checked));
element("engine", HTMLElement).textContent = crossOriginIsolated
  ? `This page is isolated: models that gain from it run on up to ${navigator.hardwareConcurrency} threads.`
  : "This page is not cross-origin isolated, so there is no shared memory: models run on one thread.";
setUpServiceWorker().catch((error: unknown) => console.warn("The page is not kept for use offline:", error));
