// Writes a GGUF with random weights in a real model's shape, to measure with where no real weights are at hand.

import { resolve } from "node:path";
import { parseArgs } from "node:util";
import {
  customShape,
  fileTypes,
  isShapeName,
  namedShape,
  type Shape,
  type ShapeNumbers,
  shapeNames,
} from "./shapes.js";
import { vocabularyOf, writeSyntheticModel } from "./synthetic-model.js";

const help = `usage: node dist/bench/synthetic.js OUT.gguf --shape SHAPE --type TYPE [options]

  --shape SHAPE    ${shapeNames.join(", ")} or custom
  --type TYPE      ${fileTypes.join(", ")}, as llama.cpp's
                   quantizer would make it: the classifier of a file below 8 bits is Q6_K
  --seed N         the same seed gives the same weights. Default 1
  --dim N  --hidden N  --layers N  --heads N  --kv-heads N  --vocab N  --context N
                   other numbers than the shape's; custom needs all of them
  --tied           custom: the classifier is the embedding
  --help

The vocabulary is Llama 2's where ../shared/data has it and the size is 32,000; else one of made-up pieces, with all bytes.
`;

const numberNames = {
  dim: "dim",
  hidden: "hidden",
  layers: "layers",
  heads: "heads",
  "kv-heads": "kvHeads",
  vocab: "vocab",
  context: "context",
} as const satisfies Record<string, keyof ShapeNumbers>;

const number = { type: "string" } as const;
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    shape: { type: "string" },
    type: { type: "string" },
    seed: { type: "string", default: "1" },
    dim: number,
    hidden: number,
    layers: number,
    heads: number,
    "kv-heads": number,
    vocab: number,
    context: number,
    tied: { type: "boolean", default: false },
    help: { type: "boolean" },
  },
});
if (options.help) process.stdout.write(help);
else await main();

async function main(): Promise<void> {
  const [path, ...more] = positionals;
  if (!path || more.length) {
    throw new TypeError(`expected one file to write, found ${positionals.length}; see --help`);
  }
  const type = fileTypes.find((known) => known === options.type?.toUpperCase());
  if (!type) {
    throw new RangeError(`--type: expected one of ${fileTypes.join(", ")}, found ${options.type ?? "none"}`);
  }
  const shape = chosenShape();
  const began = performance.now();
  const size = writeSyntheticModel(resolve(path), {
    name: `synthetic ${options.shape} ${type}`,
    shape,
    type,
    vocabulary: await vocabularyOf(shape.config.vocabSize),
    seed: count("seed", options.seed, 0),
  });
  const seconds = (performance.now() - began) / 1000;
  console.log(`${path}: ${(size / 1e6).toFixed(1)} MB in ${seconds.toFixed(1)} s`);
}

function chosenShape(): Shape {
  const numbers: { -readonly [Name in keyof ShapeNumbers]?: number } = {};
  for (const [option, name] of Object.entries(numberNames)) {
    const text = options[option as keyof typeof numberNames];
    if (text !== undefined) numbers[name] = count(option, text, 1);
  }
  const name = options.shape ?? "none";
  if (isShapeName(name)) return namedShape(name, numbers);
  if (name !== "custom") {
    throw new RangeError(`--shape: expected ${shapeNames.join(", ")} or custom, found ${name}`);
  }
  const missing = Object.entries(numberNames).filter(([, number]) => numbers[number] === undefined);
  if (missing.length) {
    const list = missing.map(([option]) => `--${option}`).join(", ");
    throw new RangeError(`--shape custom: expected all numbers, found none for ${list}`);
  }
  return customShape(numbers as ShapeNumbers, options.tied);
}

function count(option: string, text: string, least: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < least) {
    throw new RangeError(`--${option}: expected an integer, ${least} or more, found ${text}`);
  }
  return value;
}
