import { execFile } from "node:child_process";
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const root = fileURLToPath(new URL("..", import.meta.url));

/** Runs a program with this Node; rejects where it ends with an error or goes on for two minutes. */
export function runNode(args: readonly string[], cwd: string): Promise<{ stdout: string; stderr: string }> {
  return promisify(execFile)(process.execPath, args, { cwd, timeout: 120_000 });
}

/** A folder of a user's: cria, as it is built, is among its packages, and the bundled model lies in it as model.gguf. */
export interface ProgramFolder {
  readonly path: string;
  /** Runs a module that is written there under a name. */
  run(name: string, code: string): Promise<{ stdout: string; stderr: string }>;
  remove(): Promise<void>;
}

export async function createProgramFolder(): Promise<ProgramFolder> {
  const path = await mkdtemp(join(tmpdir(), "cria-programs-"));
  await mkdir(join(path, "node_modules"));
  await symlink(root, join(path, "node_modules", "cria"), "dir");
  await copyFile(join(root, "models/tiny.gguf"), join(path, "model.gguf"));
  return {
    path,
    async run(name, code) {
      await writeFile(join(path, name), code);
      return runNode([name], path);
    },
    remove: () => rm(path, { recursive: true }),
  };
}

/** A program that a page shows, and what it prints where that is shown as well. */
export interface ShownProgram {
  readonly code: string;
  readonly output: string | undefined;
}

/** The blocks of TypeScript in a page of Markdown; a block of text right after one is its output. */
export function programsIn(markdown: string): ShownProgram[] {
  const blocks = /^```ts\n([\s\S]*?)^```\n(?:\n```text\n([\s\S]*?)^```$)?/gm;
  return [...markdown.matchAll(blocks)].map(([, code, output]) => ({ code: code!, output }));
}
