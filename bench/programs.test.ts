// The programs of this folder run, and say what they promise. Their figures are not judged: a test's machine is busy.

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, expect, it } from "vitest";
import { inspect, load } from "../runtime/index.js";

const folder = await mkdtemp(join(tmpdir(), "cria-bench-"));
afterAll(() => rm(folder, { recursive: true }));

const root = fileURLToPath(new URL("..", import.meta.url));

/** Runs a built program; its output, and the JSON in its last line. */
async function run(program: string, ...args: string[]) {
  const { stdout } = await promisify(execFile)(process.execPath, [
    `${root}dist/bench/${program}.js`,
    ...args,
  ]);
  const last = stdout.trimEnd().split("\n").at(-1)!;
  return { stdout, report: last.startsWith("{") ? JSON.parse(last) : undefined };
}

it("kernels.js times a kernel in each build beside the machine's limits, and draws it", async () => {
  const svg = join(folder, "kernels.svg");
  const { stdout, report } = await run("kernels", "--only", "silu_mul", "--seconds", "0.02", "--svg", svg);
  expect(stdout).toMatch(/^silu_mul .* ns\/el .* % (reading|computing)$/m);
  expect(report).toMatchObject({ bench: "kernels", bitEqual: true });
  for (const row of report.rows) {
    // what the limits say, by their definition
    const reading = row.bytes / (row.readLimit * 1e9);
    const computing = row.operations / (row.computeLimit * 1e9);
    expect(row.share).toBeCloseTo(Math.max(reading, computing) / (row.median / 1000), 6);
    expect(row.bound).toBe(reading >= computing ? "reading" : "computing");
  }
  expect(await readFile(svg, "utf8")).toMatch(/^<svg [\s\S]*silu_mul[\s\S]*<\/svg>\n$/);
});

it("read-speed.js reads memory with one and with two threads", async () => {
  const { report } = await run("read-speed", "--threads", "1,2", "--seconds", "0.05", "--rounds", "2");
  expect(report.results.map(({ threads }: { threads: number }) => threads)).toEqual([1, 2]);
  for (const { gigabytesPerSecond } of report.results) expect(gigabytesPerSecond.median).toBeGreaterThan(0.1);
});

it("synthetic.js writes a model of the shape and type that are asked for, which runs", async () => {
  const path = join(folder, "model.gguf");
  const numbers = "--dim 64 --hidden 96 --layers 2 --heads 4 --kv-heads 2 --vocab 300 --context 32".split(
    " ",
  );
  const { stdout } = await run(
    "synthetic",
    path,
    "--shape",
    "custom",
    "--type",
    "q8_0",
    "--tied",
    ...numbers,
  );
  expect(stdout).toContain(`${((await stat(path)).size / 1e6).toFixed(1)} MB`);
  const { config, tensors } = await inspect(path);
  expect(config).toMatchObject({ dim: 64, hiddenDim: 96, nLayers: 2, nKvHeads: 2, vocabSize: 300 });
  expect(tensors.find(({ name }) => name === "output.weight")).toBeUndefined();
  const model = await load(path);
  expect((await model.generate([1, 5], { maxTokens: 3, temperature: 0 })).promptTokens).toEqual([1, 5]);
  await model.dispose();
});

it("load-cost.js tells the time to the first token, and memory beside the plan", async () => {
  const { report } = await run("load-cost", `${root}models/tiny.gguf`);
  expect(report).toMatchObject({ bench: "load-cost", model: "tiny.gguf", threads: expect.any(Number) });
  expect(report.firstTokenMs).toBeGreaterThan(report.loadMs);
  expect(report.planBytes).toBeGreaterThan(3_400_000); // its weights alone
  expect(report.peakBytes).toBeGreaterThan(report.planBytes / 2);
});

it("soak.js finds that the bundled model keeps neither memory nor threads over many texts", async () => {
  const { report } = await run("soak", "--tokens", "1000");
  expect(report).toMatchObject({ model: "tiny", tokens: 1000, problems: [] });
  expect(report.texts).toBeGreaterThan(10);
  expect(Math.abs(report.end.heap - report.start.heap)).toBeLessThan(2 ** 20);
  if (process.platform === "linux") expect(report.threadsAfter).toBeLessThanOrEqual(report.threadsBefore);
});

it.each([
  ["kernels", ["--only", "nothing"], "--only"],
  ["read-speed", ["--threads", "0"], "--threads"],
  ["synthetic", ["model.gguf", "--shape", "8b", "--type", "Q4_0"], "--shape"],
  ["synthetic", ["model.gguf", "--shape", "7b"], "--type"],
  ["synthetic", [], "one file"],
  ["load-cost", [], "one model"],
  ["soak", ["--tokens", "x"], "--tokens"],
])("%s.js refuses %j by the option's name", async (program, args, problem) => {
  await expect(run(program, ...args)).rejects.toThrow(problem);
});
