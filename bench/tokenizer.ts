// How fast the tokenizer is, on Llama 2's vocabulary: encoding English, code, Japanese and one word of a megabyte, against
// spm_encode where that is installed. See README.md.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describeMachine, thisMachine } from "../cli/machine.js";
import { openTokenizer } from "../tokenizer/index.js";
import { quartiles } from "./measure.js";

/** Every text is encoded this often; the median counts. */
const rounds = 7;
/** A text is handed over in pieces of about this many characters, as prompts are. */
const promptLength = 4096;

/** Debian: package sentencepiece. */
const program = "spm_encode";

const root = fileURLToPath(new URL("../..", import.meta.url));
const data = join(root, "../shared/data");
const model = join(data, "tokenizers/llama2/tokenizer.model");

const files = {
  wiki: readFileSync(join(data, "text/wiki.test.raw"), "utf8"),
  code: sources(),
  wagahaiwa: readFileSync(join(data, "text/wagahaiwa_nekodearu.txt"), "utf8"),
};
/** The texts that are encoded, each as a list of lines: spm_encode reads lines. */
const texts: Record<string, readonly string[]> = {
  English: inLines(files.wiki),
  code: inLines(files.code),
  Japanese: inLines(files.wagahaiwa),
  "one word": [randomWord(1_000_000)],
  // a string that is handed over whole
  "5 MB": [oneString(Object.values(files), 5_000_000)],
};

const openings: number[] = [];
for (let round = 0; round < rounds; round++) {
  const bytes = readFileSync(model);
  const begin = performance.now();
  openTokenizer(bytes);
  openings.push(performance.now() - begin);
}
const folder = mkdtempSync(join(tmpdir(), "cria-bench-"));
const machine = thisMachine();
console.log(describeMachine(machine));
console.log(
  `opening: ${openings[0]!.toFixed(1)} ms at first, ${quartiles(openings).median.toFixed(1)} ms (median)`,
);

const rows = [];
try {
  writeFileSync(join(folder, "nothing"), "\n");
  for (const [name, lines] of Object.entries(texts)) {
    const file = join(folder, "text");
    writeFileSync(file, `${lines.join("\n")}\n`);
    const megabytes = Buffer.byteLength(lines.join("\n")) / 1e6;
    const prompts = inPrompts(lines);
    const cria: number[] = [];
    const spm: number[] = [];
    for (let round = 0; round < rounds; round++) {
      // a new one, which has no words in its cache yet
      const tokenizer = openTokenizer(readFileSync(model));
      cria.push(
        seconds(() => {
          for (const prompt of prompts) tokenizer.encode(prompt);
        }),
      );
      // less what it takes to start and to read the model
      const start = spmEncode(join(folder, "nothing"));
      const whole = spmEncode(file);
      if (start !== undefined && whole !== undefined) spm.push(whole - start);
    }
    const speed = (times: readonly number[]) =>
      times.length > 0 ? megabytes / quartiles(times).median : NaN;
    rows.push({ text: name, megabytes, cria: speed(cria), spmEncode: speed(spm) });
    const { text, cria: ours, spmEncode: theirs } = rows.at(-1)!;
    console.log(
      `${text.padEnd(10)} ${megabytes.toFixed(2)} MB: cria ${ours.toFixed(2)} MB/s, spm_encode ${theirs.toFixed(2)} MB/s`,
    );
  }
} finally {
  rmSync(folder, { recursive: true });
}
console.log(JSON.stringify({ bench: "tokenizer", machine, openings, rows }));

function seconds(call: () => void): number {
  const begin = performance.now();
  call();
  return (performance.now() - begin) / 1000;
}

/** Seconds that spm_encode takes; undefined where it is not installed. */
function spmEncode(file: string): number | undefined {
  let failed = false;
  const time = seconds(() => {
    const { status } = spawnSync(
      program,
      [`--model=${model}`, "--output_format=id", "--minloglevel=2", file],
      { stdio: "ignore" },
    );
    failed = status !== 0;
  });
  return failed ? undefined : time;
}

function inLines(text: string): string[] {
  return text.split(/\r?\n/).filter((line) => line !== "");
}

/** Texts one after the other, again and again, on one line of `bytes` bytes of UTF-8 or a few less. */
function oneString(texts: readonly string[], bytes: number): string {
  const whole = Buffer.from(texts.join(" ").replace(/\s+/g, " "));
  const repeated = Buffer.concat(Array.from({ length: Math.ceil(bytes / whole.length) }, () => whole));
  return repeated.toString("utf8", 0, bytes).replace(/\ufffd+$/, "");
}

/** Lines put together up to the length of a prompt. */
function inPrompts(lines: readonly string[]): string[] {
  const prompts: string[] = [];
  let prompt = "";
  for (const line of lines) {
    prompt += `${line}\n`;
    if (prompt.length < promptLength) continue;
    prompts.push(prompt);
    prompt = "";
  }
  return prompt === "" ? prompts : [...prompts, prompt];
}

/** This repository's own sources. */
function sources(): string {
  return ["kernels", "runtime", "tokenizer", "cli", "bench", "test"]
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((file) =>
        join(root, folder, file),
      ),
    )
    .filter((file) => file.endsWith(".ts") && !file.includes("node_modules"))
    .sort()
    .map((file) => readFileSync(file, "utf8"))
    .join("\n");
}

function randomWord(length: number): string {
  let state = 1;
  return Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return String.fromCharCode(97 + Math.floor((state / 2 ** 32) * 26));
  }).join("");
}
