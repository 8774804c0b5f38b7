import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** What an engine is to do once, after a warm-up of its own. */
export interface Job {
  readonly model: string;
  /** Tokens of a prompt to be read; 0 for none. */
  readonly prompt: number;
  /** Tokens to be written, a pass each; 0 for none. */
  readonly passes: number;
  /** Tokens before those. */
  readonly depth: number;
  readonly threads: number;
}

/** What came of it: the engine as it describes itself, and quantities by their names, such as pp512 in tokens/s. */
export interface Measured {
  readonly engine: string;
  readonly values: Readonly<Record<string, number>>;
}

/** The repository, from bench/peers/dist/bench/peers/. */
export const root = fileURLToPath(new URL("../../../../../", import.meta.url));

/** cria in some Node, by its own `cria bench`. `GB/s` of a test is what it has to read, by its time. */
export async function criaInNode(node: string, job: Job): Promise<Measured> {
  const { model, prompt, passes, depth, threads } = job;
  const numbers = { "-p": prompt, "-n": passes, "--depth": depth, "-t": threads, "-r": 1 };
  const args = Object.entries(numbers).flatMap(([option, value]) => [option, String(value)]);
  const report = (await lastLine(node, [
    `${root}dist/cli/main.js`,
    "bench",
    model,
    ...args,
    "-o",
    "json",
  ])) as {
    build: string;
    machine: { node: string };
    results: { test: string; threads: number; tokensPerSecond: number; gigabytesPerSecond: number }[];
  };
  const values: Record<string, number> = {};
  for (const { test, tokensPerSecond, gigabytesPerSecond } of report.results) {
    values[test] = tokensPerSecond;
    values[`GB/s ${test}`] = gigabytesPerSecond;
  }
  const found = report.results[0]!.threads;
  return { engine: `cria, ${report.build}, Node ${report.machine.node}, ${inThreads(found)}`, values };
}

/** A loop that only reads memory, with as many threads, in the same Node: GB/s. */
export async function readLoop(node: string, threads: number): Promise<Measured> {
  const options = ["--threads", String(threads), "--rounds", "3", "--seconds", "0.3"];
  const report = (await lastLine(node, [`${root}dist/bench/read-speed.js`, ...options])) as {
    machine: { node: string };
    results: { gigabytesPerSecond: { median: number } }[];
  };
  return {
    engine: `read loop, Node ${report.machine.node}, ${inThreads(threads)}`,
    values: { "GB/s": report.results[0]!.gigabytesPerSecond.median },
  };
}

/** What loading costs cria: seconds to the first token, and memory above the process's own, also as a share of the plan. */
export async function loadCost(node: string, { model, threads }: Job): Promise<Measured> {
  const options = [model, "--threads", String(threads)];
  const report = (await lastLine(node, [`${root}dist/bench/load-cost.js`, ...options])) as {
    build: string;
    threads: number;
    machine: { node: string };
    firstTokenMs: number;
    peakBytes: number;
    planBytes: number;
  };
  return {
    engine: `cria, ${report.build}, Node ${report.machine.node}, ${inThreads(report.threads)}`,
    values: {
      "file to first token, s": report.firstTokenMs / 1000,
      "peak memory, MB": report.peakBytes / 1e6,
      "peak memory / plan": report.peakBytes / report.planBytes,
    },
  };
}

/** llama.cpp by node-llama-cpp, in this Node. */
export async function llamaCpp(job: Job): Promise<Measured> {
  const script = fileURLToPath(new URL("llama-cpp-speed.js", import.meta.url));
  return (await lastLine(process.execPath, [script, JSON.stringify(job)])) as Measured;
}

export function inThreads(count: number): string {
  return `${count} thread${count === 1 ? "" : "s"}`;
}

/** No measurement takes as long. */
const MOST_MS = 900_000;

/** Runs a program to its end, and reads the last line of its output as JSON. Rejects with what it says on standard error. */
async function lastLine(command: string, args: readonly string[]): Promise<unknown> {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], timeout: MOST_MS });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (text) => {
    stdout += text;
  });
  child.stderr.on("data", (text) => {
    stderr += text;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  if (code !== 0) throw new Error(`${command} ${args[0]} ended with ${code}: ${stderr.trim().slice(-500)}`);
  return JSON.parse(stdout.trimEnd().split("\n").at(-1)!);
}
