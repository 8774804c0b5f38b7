// Whether memory and threads stay as they are: many texts one after the other on one model, some of them left early or aborted.

import { readdirSync } from "node:fs";
import { basename } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describeMachine, thisMachine } from "../cli/machine.js";
import { load, type Model } from "../runtime/index.js";
import { createRandom } from "../runtime/sampling/random.js";

/**
 * What V8 and the system's allocator hold in reserve comes and goes by some 20 MB (over 100,000 tokens of the bundled model, whose logits are
 * 16 KB a token). Buffers that are kept are found by JavaScript's own count: a hundred bytes lost with each of 10,000 tokens are over it.
 */
const MOST_GROWTH_MB = 32;
const MOST_HEAP_GROWTH_MB = 1;
/** Threads that end do so a little later than the promise that says so. */
const PATIENCE_MS = 5000;
/** Most ids of a prompt, and most tokens of a text. */
const LONGEST = { prompt: 48, text: 96 };

const help = `usage: node dist/bench/soak.js [MODEL] [options]

  --tokens N    tokens to write, after a tenth as many to warm up. Default 10000
  --threads N   Default: as cria run
  --help

MODEL is the bundled one by default. Prompts have random lengths and ids; of eight texts one is left early and one aborted. Memory is
what remains after a garbage collection. Ends with exit code 1 when the process has grown by more than ${MOST_GROWTH_MB} MB since the
warm-up, JavaScript's heap and buffers by more than ${MOST_HEAP_GROWTH_MB} MB, or when a thread of the system is left after dispose(). Threads are
counted on Linux only. Prints a line for every tenth of the tokens, and as its last line the same as JSON.
`;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    tokens: { type: "string", default: "10000" },
    threads: { type: "string" },
    help: { type: "boolean" },
  },
});
if (options.help) process.stdout.write(help);
else await main();

async function main(): Promise<void> {
  if (positionals.length > 1)
    throw new TypeError(`expected one model, found ${positionals.length}; see --help`);
  const path = positionals[0] ?? "tiny";
  const tokens = count("--tokens", options.tokens);
  const threads = options.threads === undefined ? undefined : count("--threads", options.threads);

  // what Node and V8 start once and keep, they have started before anything is counted
  const other = await load(path, { threads });
  await write(other, Math.min(tokens, 200), 1);
  await other.dispose();
  const threadsBefore = await settledThreads();

  const machine = thisMachine();
  const model = await load(path, { threads });
  console.log(
    `${basename(path)}, ${model.build} build, ${model.threads} threads; ${describeMachine(machine)}`,
  );
  let texts = await write(model, Math.ceil(tokens / 10), 2);
  const start = await memoryNow();
  console.log(`warm-up: ${texts} texts, ${describeMemory(start)}`);
  let end = start;
  for (let tenth = 1; tenth <= 10; tenth++) {
    texts += await write(model, Math.ceil(tokens / 10), 2 + tenth);
    end = await memoryNow();
    console.log(`${Math.ceil(tokens / 10) * tenth} tokens: ${texts} texts, ${describeMemory(end)}`);
  }
  const threadsDuring = countThreads();
  await model.dispose();
  const threadsAfter = await waitForFewer(threadsBefore);

  const growth = { rss: end.rss - start.rss, heap: end.heap - start.heap };
  console.log(
    `threads: ${threadsBefore} before the load, ${threadsDuring} during, ${threadsAfter} after dispose()`,
  );
  const problems = [
    ...(growth.rss > MOST_GROWTH_MB * 2 ** 20 ? [`the process grew by ${inMegabytes(growth.rss)}`] : []),
    ...(growth.heap > MOST_HEAP_GROWTH_MB * 2 ** 20 ? [`the heap grew by ${inMegabytes(growth.heap)}`] : []),
    ...((threadsAfter ?? 0) > (threadsBefore ?? 0) ? ["threads were left"] : []),
  ];
  for (const problem of problems) console.log(`NOT FLAT: ${problem}`);
  if (problems.length) process.exitCode = 1;
  const counted = { threadsBefore, threadsDuring, threadsAfter };
  console.log(
    JSON.stringify({
      bench: "soak",
      model: basename(path),
      machine,
      tokens,
      texts,
      start,
      end,
      ...counted,
      problems,
    }),
  );
}

/** Writes texts until there are as many tokens; returns how many texts that took. */
async function write(model: Model, tokens: number, seed: number): Promise<number> {
  const random = createRandom(seed);
  const upTo = (most: number) => 1 + Math.floor(random() * most);
  const longestPrompt = Math.min(LONGEST.prompt, model.contextLength);
  let written = 0;
  let texts = 0;
  for (; written < tokens; texts++) {
    const prompt = Array.from({ length: upTo(longestPrompt) }, () => upTo(model.config.vocabSize) - 1);
    const maxTokens = Math.min(upTo(LONGEST.text), tokens - written);
    const abort = new AbortController();
    const stopAt = upTo(maxTokens);
    let inText = 0;
    try {
      for await (const _ of model.generate(prompt, { maxTokens, seed: texts, signal: abort.signal })) {
        inText++;
        if (texts % 8 === 3 && inText === stopAt) break;
        if (texts % 8 === 6 && inText === stopAt) abort.abort();
      }
    } catch (error) {
      if (!abort.signal.aborted) throw error;
    }
    written += inText;
  }
  return texts;
}

interface Memory {
  /** Of the process, in bytes. */
  readonly rss: number;
  /** In use by JavaScript: objects and buffers. */
  readonly heap: number;
}

async function memoryNow(): Promise<Memory> {
  // buffers are freed in the background, after the collection that finds them
  for (let i = 0; i < 3; i++) {
    collectGarbage();
    await sleep(20);
  }
  const { rss, heapUsed, external } = process.memoryUsage();
  return { rss, heap: heapUsed + external };
}

function describeMemory({ rss, heap }: Memory): string {
  return `${inMegabytes(rss)} in memory, ${inMegabytes(heap)} of heap`;
}

function inMegabytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MB`;
}

/** Threads of this process as the system counts them; undefined where it does not tell. */
function countThreads(): number | undefined {
  try {
    return readdirSync("/proc/self/task").length;
  } catch {
    return undefined;
  }
}

/** The number of threads once it has not changed for a while. */
async function settledThreads(): Promise<number | undefined> {
  let threads = countThreads();
  for (let quiet = 0; quiet < 500; quiet += 20) {
    await sleep(20);
    const now = countThreads();
    if (now !== threads) quiet = 0;
    threads = now;
  }
  return threads;
}

/** The number of threads once it is no more than `most`, or after some patience what it is then. */
async function waitForFewer(most: number | undefined): Promise<number | undefined> {
  const until = performance.now() + PATIENCE_MS;
  for (;;) {
    const threads = countThreads();
    if (threads === undefined || most === undefined || threads <= most || performance.now() > until)
      return threads;
    await sleep(20);
  }
}

function count(option: string, text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1)
    throw new RangeError(`${option}: expected an integer above 0, found ${text}`);
  return value;
}
