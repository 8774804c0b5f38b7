import { drawKernels } from "../bench/charts.js";
import { cellsOf, columnNames, type KernelRow } from "../bench/measure-kernels.js";
import { element, make } from "./dom.js";
import type { KernelsOrder, KernelsReport, KernelsTimed } from "./kernels-worker.js";
import { createTaskButton } from "./task-button.js";

/** The kernels' speed here, beside the limits of this browser on this machine. */
export function setUpKernelsPanel(): void {
  const form = element("kernels-form", HTMLFormElement);
  const which = element("kernels-which", HTMLSelectElement);
  const seconds = element("kernels-seconds", HTMLInputElement);
  const copy = element("kernels-copy", HTMLButtonElement);
  const state = element("kernels-state", HTMLElement);
  const drawing = element("kernels-drawing", HTMLElement);
  const table = element("kernels-table", HTMLElement);
  const task = createTaskButton(
    element("kernels-button", HTMLButtonElement),
    element("kernels-error", HTMLElement),
  );
  let report = "";

  async function measure(signal: AbortSignal): Promise<void> {
    const order = { only: which.value ? which.value.split(",") : [], seconds: seconds.valueAsNumber };
    const rows: KernelRow[] = [];
    const body = make("tbody", "");
    const heads = columnNames.map((name) => make("th", "", name));
    table.replaceChildren(make("table", "", make("thead", "", make("tr", "", ...heads)), body));
    drawing.hidden = copy.hidden = true;
    table.hidden = false;
    state.textContent = "Preparing";
    let cases = 0;
    let bitEqual = true;
    try {
      await measureInWorker(order, signal, ({ timed, alike, of }) => {
        rows.push(...timed);
        bitEqual &&= alike;
        for (const row of timed) body.append(rowOf(row));
        state.textContent = `${timed[0]!.kernel}: ${++cases} of ${of}`;
      });
      state.textContent = bitEqual
        ? "Done. All builds gave the same bits."
        : "Done. The builds gave different bits, which they should never do.";
    } finally {
      if (signal.aborted) state.textContent = "Stopped.";
      if (rows.length > 0) {
        const machine = describeMachine();
        drawing.innerHTML = drawKernels(rows, machine);
        report = JSON.stringify({ bench: "kernels", machine, seconds: order.seconds, bitEqual, rows });
        drawing.hidden = copy.hidden = false;
      }
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void task.press(measure);
  });
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(report);
    state.textContent = "Copied.";
  });
}

/** Has a worker measure, and ends it when it is done, fails, or the signal is aborted. */
function measureInWorker(
  order: KernelsOrder,
  signal: AbortSignal,
  onTimed: (timed: KernelsTimed) => void,
): Promise<void> {
  const worker = new Worker(new URL("./kernels-worker.js", import.meta.url), { type: "module" });
  const ended = new Promise<void>((resolve, reject) => {
    worker.addEventListener("message", ({ data }: MessageEvent<KernelsReport>) => {
      if (data.kind === "timed") onTimed(data);
      else if (data.kind === "failed") reject(new Error(data.reason));
      else resolve();
    });
    // a script that can't be loaded gives an event without a message
    worker.addEventListener("error", ({ message }) =>
      reject(new Error(message || "Cannot measure: the worker could not be started")),
    );
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    worker.postMessage(order);
  });
  return ended.finally(() => worker.terminate());
}

function rowOf(row: KernelRow): HTMLElement {
  return make("tr", "", ...cellsOf(row).map((cell) => make("td", "", cell)));
}

/** The browser and what it tells of the machine. */
function describeMachine(): string {
  const threads = crossOriginIsolated ? "with" : "without";
  return `${navigator.userAgent}; ${navigator.hardwareConcurrency} cores; ${threads} threads`;
}
