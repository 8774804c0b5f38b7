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
  write(name: string, text: string): Promise<void>;
  /** Runs a module of the folder. */
  run(name: string): Promise<{ stdout: string; stderr: string }>;
  /** Compiles the folder's TypeScript; rejects with what is wrong with it. */
  compile(): Promise<void>;
  remove(): Promise<void>;
}

export async function createProgramFolder(): Promise<ProgramFolder> {
  const path = await mkdtemp(join(tmpdir(), "cria-programs-"));
  const write = (name: string, text: string) => writeFile(join(path, name), text);
  await mkdir(join(path, "node_modules"));
  await symlink(root, join(path, "node_modules", "cria"), "dir");
  await copyFile(join(root, "models/tiny.gguf"), join(path, "model.gguf"));
  await write("package.json", JSON.stringify({ type: "module" }));
  return {
    path,
    write,
    run: (name) => runNode([name], path),
    async compile() {
      const compilerOptions = { noEmit: false, typeRoots: [join(root, "node_modules/@types")] };
      const config = {
        extends: join(root, "tsconfig.json"),
        compilerOptions,
        include: ["*.ts"],
        exclude: [],
      };
      await write("tsconfig.json", JSON.stringify(config));
      await runNode([join(root, "node_modules/typescript/bin/tsc")], path).catch((error) => {
        throw new Error(error.stdout, { cause: error });
      });
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
