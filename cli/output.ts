import type { Progress } from "../runtime/index.js";

/** Whoever read the output has enough of it: `cria run ... | head -c 10`. Not an error; there is just nothing left to do. */
export class ClosedPipe extends Error {
  override name = "ClosedPipe";
}

/** The user pressed Ctrl-C. */
export class Interrupted extends Error {
  override name = "Interrupted";
  constructor() {
    super("interrupted");
  }
}

// without a listener a closed pipe would end the process with a stack trace; write() below gets the error as well
process.stdout.on("error", () => {});
process.stderr.on("error", () => {});

/**
 * Writes to standard output, and resolves when it is on its way: a slow reader slows the writer, so nothing piles up.
 * Rejects with ClosedPipe when nobody reads any more.
 */
export async function write(data: string | Uint8Array): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      process.stdout.write(data, (error) => (error ? reject(error) : resolve()));
    });
  } catch (cause) {
    const code = codeOf(cause);
    if (code === "EPIPE" || code === "ERR_STREAM_DESTROYED")
      throw new ClosedPipe("standard output is closed", { cause });
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`Cannot write to standard output: ${reason}`, { cause });
  }
}

/** One line for people, on standard error. */
export function note(line: string): void {
  tell(`${line}\n`);
}

/** Standard error may be closed or full, which must not keep the program from its work. */
function tell(text: string): void {
  try {
    process.stderr.write(text);
  } catch {
    // nobody to tell
  }
}

/** A line that says how far something is, rewritten in place; nothing where standard error is no terminal. */
export function progressLine(): { show(line: string): void; clear(): void } {
  if (!process.stderr.isTTY) return { show() {}, clear() {} };
  let shown = "";
  return {
    show(line) {
      if (line === shown) return;
      tell(`\r${line}\x1b[K`);
      shown = line;
    },
    clear() {
      if (shown) tell("\r\x1b[K");
      shown = "";
    },
  };
}

const doing = { weights: "loading", check: "checking", write: "writing" } as const;

/** `loading: 37 % of 3,826 MB, 412 MB/s, 6 s left`. */
export function progressText({ loaded, total, phase, bytesPerSecond, secondsLeft }: Progress): string {
  const percent = Math.floor((100 * loaded) / Math.max(total, 1));
  const done = `${doing[phase]}: ${percent} % of ${grouped(Math.ceil(total / 1e6))} MB`;
  if (secondsLeft === undefined) return done;
  return `${done}, ${grouped(Math.round(bytesPerSecond / 1e6))} MB/s, ${timeText(secondsLeft)} left`;
}

/** `6 s`, `2 min`, `3 h`: rounded up, since it is a guess. */
function timeText(seconds: number): string {
  if (seconds < 100) return `${Math.ceil(seconds)} s`;
  return seconds < 6000 ? `${Math.ceil(seconds / 60)} min` : `${Math.ceil(seconds / 3600)} h`;
}

let interruption: AbortController | undefined;

/**
 * The signal that the first Ctrl-C aborts, with an Interrupted. From then on Ctrl-C does what it does by default: a second one
 * kills, whatever the program is doing.
 */
export function interruptSignal(): AbortSignal {
  if (!interruption) {
    const controller = new AbortController();
    process.once("SIGINT", () => controller.abort(new Interrupted()));
    interruption = controller;
  }
  return interruption.signal;
}

/** An error in one line. What the system says of files is put as the runtime puts it. */
export function errorLine(error: unknown): string {
  if (!(error instanceof Error)) return printable(String(error));
  const path = "path" in error && typeof error.path === "string" ? error.path : undefined;
  const reason = systemReasons[codeOf(error) ?? ""];
  return printable(shortened(path && reason ? `Cannot open ${path}: ${reason}` : error.message));
}

/** Messages quote what a file holds, and that may be long. */
function shortened(message: string): string {
  return message.length > 1000 ? `${message.slice(0, 600)} ... ${message.slice(-300)}` : message;
}

const systemReasons: Readonly<Record<string, string>> = {
  ENOENT: "expected a file, found none of that name",
  ENOTDIR: "expected a file, found none of that name",
  EACCES: "expected a file that may be opened, found permission denied",
  EPERM: "expected a file that may be opened, found permission denied",
  EISDIR: "expected a file, found a directory",
};

/**
 * Text on one line, with control characters spelled out: names and metadata come from files, and a terminal obeys whoever
 * writes escape sequences to it.
 */
export function printable(text: string): string {
  return text
    .split("\n")
    .map((line) => line.trim())
    .join(" ")
    .replace(/[\p{Cc}\p{Bidi_Control}]/gu, (char) => {
      const code = char.charCodeAt(0).toString(16);
      return code.length > 2 ? `\\u{${code}}` : `\\x${code.padStart(2, "0")}`;
    });
}

/** `1,234,567`. */
export function grouped(value: number): string {
  return value.toLocaleString("en-US");
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}
