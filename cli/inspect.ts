import { estimate, type Inspection, inspect, type MetadataValue } from "../runtime/index.js";
import { integer, type OptionTable, oneOf, parseArguments, UsageError } from "./arguments.js";
import { fitText } from "./fit.js";
import { memoryOptions, modelArgument } from "./model-options.js";
import { grouped, printable, write } from "./output.js";
import { table } from "./table.js";

/** Those that go with --fit. */
const fitOptions = {
  context: { type: "string" },
  cache: { type: "string" },
  threads: { type: "string" },
  memory: { type: "string" },
  weights: { type: "string" },
  quantize: { type: "string" },
} as const satisfies OptionTable;

const options = {
  json: { type: "boolean" },
  fit: { type: "boolean" },
  ...fitOptions,
} as const satisfies OptionTable;

const help = `cria inspect MODEL [--json]
cria inspect MODEL --fit [--context N] [--cache TYPE] [--threads N] [--memory BYTES] [--weights MODE] [--quantize TYPE] [--json]

Shows what a model file says of itself: config, metadata, and the tensors with their shapes (outermost dimension first), types
and sizes in bytes. No weights are read.

  --json  one JSON object: format, architecture, config, metadata, tensors, parameters, bytes, and problem where the file would
          not run; whole, where the other form shortens. Integers beyond 2^53 and numbers that are not finite are strings.
  --fit   what loading the model would take instead, with options as those of cria run: bytes of weights, cache and scratch, whether
          this machine has them, what would fit otherwise, and how fast it would write, by a fifth of a second of measuring. With
          --json one object: contextLength, cacheType, threads, weightsBytes, cacheBytes, scratchBytes, readAheadBytes, totalBytes,
          stages, contexts, memoryLimit, fits, wouldFit, speed.
`;

export const inspectCommand = { doing: "inspect", summary: "show what is in a model file", help, execute };

async function execute(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArguments(args, options);
  if (values.help) return write(help);
  const path = modelArgument(positionals, "inspect", "MODEL");
  if (values.fit) return tellFit(path, values);
  for (const name of Object.keys(fitOptions) as (keyof typeof fitOptions)[]) {
    if (values[name] !== undefined) throw new UsageError(`--${name}: expected it with --fit, found it alone`);
  }
  const inspection = await inspect(path);
  await write(values.json ? `${JSON.stringify(asJson(inspection))}\n` : asText(path, inspection));
}

type FitValues = { readonly [Name in keyof typeof fitOptions]?: string } & { readonly json?: boolean };

async function tellFit(path: string, values: FitValues): Promise<void> {
  const found = await estimate(path, {
    contextLength: integer("--context", values.context, 1),
    cacheType: oneOf("--cache", values.cache, ["f32", "f16", "q8_0"]),
    threads: integer("--threads", values.threads, 1),
    ...memoryOptions(values),
  });
  await write(values.json ? `${JSON.stringify(found)}\n` : fitText(path, found));
}

function asJson({
  format,
  architecture,
  config,
  metadata,
  tensors,
  parameters,
  bytes,
  problem,
}: Inspection): object {
  // fromEntries defines its properties: a key named __proto__ is one like any other
  const plainMetadata = Object.fromEntries([...metadata].map(([key, value]) => [key, plain(value)]));
  return { format, architecture, config, metadata: plainMetadata, tensors, parameters, bytes, problem };
}

/** A value of a kind that JSON has. */
function plain(value: MetadataValue): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (typeof value === "string" || typeof value === "boolean") return value;
  return Array.from(value as ArrayLike<MetadataValue>, plain);
}

function asText(
  path: string,
  { format, architecture, config, metadata, tensors, parameters, bytes, problem }: Inspection,
): string {
  const types = new Map<string, number>();
  for (const { type, bytes } of tensors) types.set(type, (types.get(type) ?? 0) + bytes);
  const byType = [...types].map(([type, bytes]) => [type, `${grouped(bytes)} bytes`]);
  return [
    `${printable(path)}: ${format}, ${architecture}, ${grouped(parameters)} parameters, ${grouped(bytes)} bytes\n`,
    problem ? `does not run: ${printable(problem)}\n` : "config\n",
    table(
      Object.entries(config ?? {}).map(([key, value]) => [key, shown(value)]),
      "ll",
      "  ",
    ),
    `metadata: ${metadata.size}\n`,
    table(
      [...metadata].map(([key, value]) => [key, shown(value)]),
      "ll",
      "  ",
    ),
    `tensors: ${tensors.length}\n`,
    table(
      tensors.map(({ name, shape, type, bytes }) => [name, type, `[${shape.join(", ")}]`, grouped(bytes)]),
      "lllr",
      "  ",
    ),
    "in all\n",
    table(byType, "lr", "  "),
  ].join("");
}

/** What fits beside a key on a line. */
const MAX_SHOWN = 72;

/** A value on one line, arrays and texts shortened. */
function shown(value: MetadataValue): string {
  if (typeof value === "number") return shortestNumber(value);
  if (typeof value === "string") return shortened(value, MAX_SHOWN);
  if (typeof value !== "object") return String(value);
  const first: string[] = [];
  let length = 0;
  for (let i = 0; i < value.length && length < MAX_SHOWN - 20; i++) {
    const element = value[i]!;
    first.push(
      shortened(typeof element === "string" ? JSON.stringify(element) : shown(element), MAX_SHOWN / 2),
    );
    length += first.at(-1)!.length + 2;
  }
  const more = value.length > first.length ? `, ... (${grouped(value.length)} in all)` : "";
  return `[${first.join(", ")}${more}]`;
}

function shortened(text: string, length: number): string {
  const characters = [...text.slice(0, 2 * length + 2)];
  return characters.length > length ? `${characters.slice(0, length - 3).join("")}...` : text;
}

/** The fewest digits that give a number that came from a float32: 0.00001 for 0.000009999999747378752. */
function shortestNumber(value: number): string {
  if (Math.fround(value) !== value || Number.isInteger(value)) return String(value);
  for (let digits = 1; digits < 9; digits++) {
    const rounded = Number(value.toPrecision(digits));
    if (Math.fround(rounded) === value) return String(rounded);
  }
  return String(value);
}
