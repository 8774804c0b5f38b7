import { readFile } from "node:fs/promises";
import { UsageError } from "./arguments.js";
import { benchCommand } from "./bench.js";
import { chatCommand } from "./chat.js";
import { convertCommand } from "./convert.js";
import { inspectCommand } from "./inspect.js";
import { logitsCommand } from "./logits.js";
import { ClosedPipe, errorLine, Interrupted, note, printable, write } from "./output.js";
import { perplexityCommand } from "./perplexity.js";
import { quantizeCommand } from "./quantize.js";
import { runCommand } from "./run.js";
import { tokenizeCommand } from "./tokenize.js";

interface Command {
  /** Completes "Cannot ...". */
  readonly doing: string;
  /** What it does, in a line. */
  readonly summary: string;
  readonly help: string;
  /** Rejects with a UsageError for arguments that it does not take. */
  execute(args: readonly string[]): Promise<void>;
}

const commands: ReadonlyMap<string, Command> = new Map(
  Object.entries({
    run: runCommand,
    chat: chatCommand,
    inspect: inspectCommand,
    tokenize: tokenizeCommand,
    logits: logitsCommand,
    perplexity: perplexityCommand,
    bench: benchCommand,
    convert: convertCommand,
    quantize: quantizeCommand,
  }),
);

/** What other programs may rely on. */
const exitCodes = { fine: 0, failed: 1, wrongUsage: 2, interrupted: 130 } as const;

const help = `cria COMMAND [arguments]

Runs Llama 2 models on this machine.

${[...commands].map(([name, { summary }]) => `  cria ${name.padEnd(10)} ${summary}`).join("\n")}

  cria COMMAND --help   what a command takes
  cria --version        the version

Exit codes: 0 fine, 1 failed, 2 wrong usage, 130 ended by Ctrl-C. With CRIA_DEBUG=1 errors come with their stack.
`;

/** Runs the program: finds the command, and turns what it throws into a line on standard error and an exit code. */
export async function main([name, ...args]: readonly string[]): Promise<number> {
  try {
    if (name === "--help" || name === "-h" || name === "help") await write(helpOf(args[0]));
    else if (name === "--version") await write(`${await version()}\n`);
    else await find(name).execute(args);
    return exitCodes.fine;
  } catch (error) {
    if (error instanceof ClosedPipe) return exitCodes.fine;
    if (error instanceof Interrupted) return exitCodes.interrupted;
    if (error instanceof UsageError) {
      const doing = commands.get(name ?? "")?.doing;
      const where = doing ? `cria ${name} --help` : "cria --help";
      note(`cria: Cannot ${doing ?? "start"}: ${printable(error.message)}; see ${where}`);
      return exitCodes.wrongUsage;
    }
    note(`cria: ${errorLine(error)}`);
    if (process.env.CRIA_DEBUG === "1" && error instanceof Error) note(error.stack ?? "");
    return exitCodes.failed;
  }
}

function find(name: string | undefined): Command {
  const command = commands.get(name ?? "");
  if (command) return command;
  const expected = `expected a command, one of ${[...commands.keys()].join(", ")}`;
  throw new UsageError(`${expected}; found ${name === undefined ? "none" : JSON.stringify(name)}`);
}

function helpOf(name: string | undefined): string {
  return name === undefined ? help : find(name).help;
}

async function version(): Promise<string> {
  const text = await readFile(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
