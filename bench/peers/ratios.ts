// cria against its peers on the same generated files, interleaved: a table of ratios. What is run and how: ../README.md.

import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { describeMachine, thisMachine } from "../../cli/machine.js";
import { namedShape } from "../shapes.js";
import { vocabularyOf, writeSyntheticModel } from "../synthetic-model.js";
import { type Result, ratiosTable } from "./ratios-table.js";
import { allRows, type Row } from "./rows.js";

const help = `usage: npm run ratios -- [options]

  --node PATH      a Node that cria runs in; repeatable. Default: this one
  --rows NAMES     rows between commas. Default: all that follow
                   ${allRows({ nodes: [], threads: 2, chromium: "", quick: false })
                     .map(({ name }) => name)
                     .join(", ")}
  --threads N      threads of cria, and the most of the peers. Default 2
  --rounds N       rounds of each row. Default 5; depth and browser 3
  --folder DIR     where the models (6.6 GB for all rows) and results.jsonl are kept. Default: ${join(tmpdir(), "cria-ratios")}
  --again          forget the results that are there; else what is measured is not measured again
  --chromium PATH  Default /usr/bin/chromium
  --quick          small numbers and one round, to see whether everything runs; keep them in a folder of their own
  --help

In each round the contestants of a row take turns, each in a process of its own that warms up first. Build the repository before.
Prints a line for each measurement and the table, which goes to table.md in the folder as well.
`;

const { values: options } = parseArgs({
  options: {
    node: { type: "string", multiple: true },
    rows: { type: "string" },
    threads: { type: "string", default: "2" },
    rounds: { type: "string" },
    folder: { type: "string", default: join(tmpdir(), "cria-ratios") },
    again: { type: "boolean", default: false },
    chromium: { type: "string", default: "/usr/bin/chromium" },
    quick: { type: "boolean", default: false },
    help: { type: "boolean" },
  },
});
if (options.help) process.stdout.write(help);
else await main();

async function main(): Promise<void> {
  const threads = count("--threads", options.threads);
  const rounds = options.rounds === undefined ? undefined : count("--rounds", options.rounds);
  const nodes = options.node?.map((path) => resolve(path)) ?? [process.execPath];
  const rows = chosen(allRows({ nodes, threads, chromium: options.chromium, quick: options.quick }));

  const folder = resolve(options.folder);
  mkdirSync(folder, { recursive: true });
  const file = join(folder, "results.jsonl");
  if (options.again) rmSync(file, { force: true });
  const results = readResults(file);
  if (results.length) console.log(`${results.length} measurements are in ${file}`);
  const machine = describeMachine(thisMachine());
  console.log(machine);

  for (const row of rows) {
    const model = await modelFile(folder, row);
    for (let round = 0; round < (rounds ?? row.rounds); round++) await run(row, round, model, results, file);
  }
  const table = ratiosTable(rows, results);
  writeFileSync(join(folder, "table.md"), `${table}\n${machine}\n`);
  console.log(`\n${table}\n${machine}`);
}

/** One round: every contestant once. What fails is told and left out, and is tried again by the next run. */
async function run(row: Row, round: number, model: string, results: Result[], file: string): Promise<void> {
  for (const contestant of row.contestants) {
    const isThis = (found: Result) =>
      found.row === row.name && found.round === round && found.contestant === contestant.id;
    if (results.some(isThis)) continue;
    const began = performance.now();
    try {
      const measured = await contestant.measure(model);
      const result = { row: row.name, round, contestant: contestant.id, measured };
      results.push(result);
      appendFileSync(file, `${JSON.stringify(result)}\n`);
      const values = Object.entries(measured.values).map(([name, value]) => `${name} ${value.toFixed(2)}`);
      const seconds = ((performance.now() - began) / 1000).toFixed(0);
      console.log(`${row.name} ${round + 1}: ${measured.engine}: ${values.join(", ")} (${seconds} s)`);
    } catch (error) {
      process.exitCode = 1;
      console.log(`${row.name} ${round + 1}: ${contestant.id} FAILED: ${(error as Error).message}`);
    }
  }
}

function chosen(rows: readonly Row[]): readonly Row[] {
  if (options.rows === undefined) return rows;
  return options.rows.split(",").map((name) => {
    const row = rows.find((known) => known.name === name);
    if (row) return row;
    throw new RangeError(`--rows: expected ${rows.map((known) => known.name).join(", ")}; found ${name}`);
  });
}

/** The row's model, written when it is first needed. With --quick it has two layers. */
async function modelFile(folder: string, { model: { shape: name, type } }: Row): Promise<string> {
  const path = join(folder, `${name}-${type}${options.quick ? "-quick" : ""}.gguf`);
  if (!existsSync(path)) {
    const shape = namedShape(name, options.quick ? { layers: 2 } : {});
    const vocabulary = await vocabularyOf(shape.config.vocabSize);
    const size = writeSyntheticModel(path, {
      name: `synthetic ${name} ${type}`,
      shape,
      type,
      vocabulary,
      seed: 1,
    });
    console.log(`wrote ${path}, ${Math.round(size / 1e6)} MB`);
  }
  return path;
}

/** The results so far. A line that a run was ended in is no result. */
function readResults(file: string): Result[] {
  if (!existsSync(file)) return [];
  const results: Result[] = [];
  for (const line of readFileSync(file, "utf8").split("\n")) {
    try {
      results.push(JSON.parse(line) as Result);
    } catch {
      // cut off, or the end
    }
  }
  return results;
}

function count(option: string, text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1)
    throw new RangeError(`${option}: expected an integer above 0, found ${text}`);
  return value;
}
