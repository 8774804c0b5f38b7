// The page that measures the browser it is in: a model as `cria bench` does, and the kernels as `npm run bench` does. Served by serve.ts.

import { benchModel } from "../cli/bench-model.js";
import { inspect, load } from "../runtime/index.js";
import { Arena } from "./arena.js";
import { drawKernels } from "./charts.js";
import { ARENA_BYTES } from "./kernel-cases.js";
import {
  casesWith,
  cellsOf,
  columnNames,
  type KernelRow,
  openExactBuilds,
  timeKernel,
} from "./measure-kernels.js";

const machine = `${navigator.userAgent}; ${navigator.hardwareConcurrency} cores; ${crossOriginIsolated ? "with" : "without"} threads; ${new Date().toISOString().slice(0, 10)}`;

const element = (id: string): HTMLElement => document.getElementById(id)!;
element("machine").textContent = machine;
onSubmit("model", measureModel);
onSubmit("kernels", measureKernels);

/** Runs a measurement when its form is sent, one at a time, and shows what it ends in. */
function onSubmit(id: string, measure: (form: FormData) => Promise<object>): void {
  const form = element(id) as HTMLFormElement;
  const buttons = document.querySelectorAll("button");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    for (const button of buttons) button.disabled = true;
    for (const output of ["results", "drawing", "json"]) element(output).replaceChildren();
    try {
      element("json").textContent = JSON.stringify(await measure(new FormData(form)));
      await tell("");
    } catch (error) {
      await tell(String(error));
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  });
}

async function measureModel(form: FormData): Promise<object> {
  const file = form.get("file");
  const source = file instanceof File && file.size > 0 ? file : "tiny";
  const number = (name: string) => (form.get(name) ? Number(form.get(name)) : undefined);
  const threads = String(form.get("threads") ?? "");
  await tell("reading the header");
  const report = await benchModel(await inspect(source), {
    prompt: number("prompt"),
    passes: number("tokens"),
    depth: 0,
    repetitions: number("repetitions") ?? 5,
    threadCounts: threads ? threads.split(",").map(Number) : [undefined],
    open: async (loading) => {
      await tell("loading");
      return load(source, loading);
    },
    onProgress: (text) => void tell(text),
  });
  const { build, layout, results } = report;
  addRow(["build", "layout", "threads", "test", "tokens/s", "GB/s"], "th");
  for (const { threads, test, tokensPerSecond, stddev, gigabytesPerSecond } of results) {
    const speed = `${tokensPerSecond.toFixed(2)} ± ${stddev.toFixed(2)}`;
    addRow([build, layout, String(threads), test, speed, gigabytesPerSecond.toFixed(2)]);
  }
  return { model: source === "tiny" ? source : source.name, ...report, machine };
}

async function measureKernels(form: FormData): Promise<object> {
  const only = String(form.get("only") ?? "");
  const seconds = Number(form.get("seconds"));
  const wanted = casesWith(only ? [only] : []);
  const arena = new Arena(ARENA_BYTES);
  const variants = await openExactBuilds(arena);
  addRow(columnNames, "th");
  const rows: KernelRow[] = [];
  const differing: string[] = [];
  for (const kernelCase of wanted) {
    const name = `${kernelCase.kernel} ${kernelCase.shape}`;
    await tell(`${name}: ${rows.length / variants.length} of ${wanted.length}`);
    const { timed, alike } = timeKernel(kernelCase, arena, variants, seconds);
    for (const row of timed) addRow(cellsOf(row));
    rows.push(...timed);
    if (!alike) differing.push(name);
  }
  element("drawing").innerHTML = drawKernels(rows, machine);
  return { bench: "kernels", machine, seconds, bitEqual: differing.length === 0, rows };
}

function addRow(cells: readonly string[], kind: "td" | "th" = "td"): void {
  const row = document.createElement("tr");
  for (const text of cells) {
    const cell = document.createElement(kind);
    cell.textContent = text;
    row.append(cell);
  }
  element("results").append(row);
}

/** Shows a line, and lets the page draw it before the next measurement keeps it from that. */
async function tell(text: string): Promise<void> {
  element("progress").textContent = text;
  await new Promise((resolve) => setTimeout(resolve, 20));
}
