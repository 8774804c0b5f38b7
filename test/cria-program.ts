// The built `cria` program, for the tests that run it as users do. `npm test` builds it first.

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { vi } from "vitest";
import { main } from "../cli/program.js";
import type { Vocabulary } from "../runtime/formats/checkpoint.js";
import { randomCheckpoint, smallConfig } from "./random-model.js";
import { checkpointToGguf, plainVocabulary } from "./write-gguf.js";

const program = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly bytes: Uint8Array;
  readonly stderr: string;
}

/** Starts the program, for tests that send signals or close pipes. */
export function startCria(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): ChildProcessWithoutNullStreams {
  return spawn(process.execPath, [program, ...args], { env: { ...process.env, CRIA_DEBUG: "", ...env } });
}

/** Runs the program to its end, with `input` as its standard input. */
export async function cria(args: readonly string[], input: string | Uint8Array = ""): Promise<Finished> {
  const child = startCria(args);
  child.stdin.on("error", () => {}); // it may end without having read
  child.stdin.end(input);
  return finished(child);
}

/**
 * Runs the program within the test's process, where standard input and the process itself do not matter: a hundred times
 * faster than starting one.
 */
export async function criaInProcess(args: readonly string[]): Promise<Omit<Finished, "bytes">> {
  const written = { stdout: "", stderr: "" };
  const spies = (["stdout", "stderr"] as const).map((name) =>
    vi.spyOn(process[name], "write").mockImplementation((data, ...rest: unknown[]) => {
      written[name] += typeof data === "string" ? data : Buffer.from(data).toString();
      const callback = rest.at(-1);
      if (typeof callback === "function") callback();
      return true;
    }),
  );
  try {
    const code = await main(args);
    return { code, ...written };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

/** What a started program ends in. */
export async function finished(child: ChildProcessWithoutNullStreams): Promise<Finished> {
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on("data", (chunk) => stdout.push(chunk));
  child.stderr.on("data", (chunk) => stderr.push(chunk));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  const bytes = Buffer.concat(stdout);
  return { code, stdout: bytes.toString(), bytes, stderr: Buffer.concat(stderr).toString() };
}

/** A folder with models of random weights and a vocabulary that makes a tokenizer. */
export interface ModelFolder {
  readonly path: string;
  /** 320 pieces, 64 positions. */
  readonly model: string;
  /** The same without scores and types, from which no tokenizer can be made. */
  readonly bare: string;
  /** 4096 positions, and seconds to fill them: for what is to be stopped midway. Greedily it writes on and on after id 5. */
  readonly slow: string;
  remove(): Promise<void>;
}

/** The models' vocabulary: the plain one, with a piece for the space, so that texts come back as they were. */
export const vocabulary: Vocabulary = {
  ...plainVocabulary(320),
  tokens: [...plainVocabulary(319).tokens, "▁"],
};

export async function makeModels(): Promise<ModelFolder> {
  const path = await mkdtemp(join(tmpdir(), "cria-cli-"));
  const small = randomCheckpoint({
    config: smallConfig({ vocabSize: 320, contextLength: 64 }),
    type: "F32",
    seed: 4,
  });
  const large = randomCheckpoint({
    config: smallConfig({ vocabSize: 320, contextLength: 4096, dim: 128, hiddenDim: 512, nLayers: 6 }),
    type: "Q8_0",
    seed: 1,
  });
  const { model, tokens } = vocabulary;
  const folder = {
    path,
    model: join(path, "model.gguf"),
    bare: join(path, "bare.gguf"),
    slow: join(path, "slow.gguf"),
    remove: () => rm(path, { recursive: true }),
  };
  await writeFile(folder.model, await checkpointToGguf(small, vocabulary));
  await writeFile(folder.bare, await checkpointToGguf(small, { model, tokens }));
  await writeFile(folder.slow, await checkpointToGguf(large, vocabulary));
  return folder;
}
