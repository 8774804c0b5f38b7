// What a megabyte of the worst texts costs: each in a process of its own, with a vocabulary of ../shared/data.
//
//     npm run build && node dist/bench/tokenizer-limits.js
//
// Seconds of processor time for encoding and decoding, and the most memory that the process ever held, Node's own 40 MB
// and the vocabulary's included. Exits with 1 where a text takes more than the limits.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openTokenizer } from "../tokenizer/index.js";

const limits = { seconds: 2, megabytes: 300 };
const data = fileURLToPath(new URL("../../../shared/data/tokenizers", import.meta.url));
const models = { "Llama 2 (BPE)": "llama2/tokenizer.model", unigram: "sentencepiece/test_model.model" };

const size = 1_000_000;
const texts: Record<string, () => string> = {
  "a random word": () => randomWord(size),
  "one letter": () => "a".repeat(size),
  spaces: () => " ".repeat(size),
  "U+2581": () => "\u2581".repeat(size / 3),
  emoji: () => "\u{1f600}".repeat(size / 4),
  "unknown characters": () => "\u{10300}".repeat(size / 4),
  NULs: () => "\0".repeat(size),
  "lone surrogates": () => "\ud800".repeat(size / 3),
  "control names": () => "<s>".repeat(size / 3),
  newlines: () => "\n".repeat(size),
};

const [model, text] = process.argv.slice(2);
if (model && text) measure(model, text);
else runAll();

function runAll(): void {
  const program = fileURLToPath(import.meta.url);
  for (const [name, path] of Object.entries(models)) {
    for (const text of Object.keys(texts)) {
      const { stdout, status } = spawnSync(process.execPath, [program, join(data, path), text], {
        encoding: "utf8",
      });
      const cost = status === 0 ? (JSON.parse(stdout) as typeof limits) : { seconds: NaN, megabytes: NaN };
      const isOver = !(cost.seconds <= limits.seconds && cost.megabytes <= limits.megabytes);
      if (isOver) process.exitCode = 1;
      const row = `${name.padEnd(14)} ${text.padEnd(20)} ${cost.seconds.toFixed(2)} s, ${cost.megabytes.toFixed(0)} MB`;
      console.log(isOver ? `${row}: over the limits` : row);
    }
  }
}

/** Prints what one text costs. */
function measure(path: string, text: string): void {
  const tokenizer = openTokenizer(readFileSync(path));
  const input = texts[text]!();
  const begin = process.cpuUsage();
  tokenizer.decode(tokenizer.encode(input));
  const { user, system } = process.cpuUsage(begin);
  const { maxRSS } = process.resourceUsage(); // in KiB
  console.log(JSON.stringify({ seconds: (user + system) / 1e6, megabytes: (maxRSS * 1024) / 1e6 }));
}

function randomWord(length: number): string {
  let state = 1;
  return Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return String.fromCharCode(97 + Math.floor((state / 2 ** 32) * 26));
  }).join("");
}
