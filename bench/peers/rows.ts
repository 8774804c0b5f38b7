import type { FileType, ShapeName } from "../shapes.js";
import { inChromium } from "./browser.js";
import type { BrowserEngine } from "./browser-page.js";
import { criaInNode, type Job, llamaCpp, loadCost, type Measured, readLoop } from "./contestants.js";

/** A file, and contestants that take turns on it. */
export interface Row {
  readonly name: string;
  readonly model: { readonly shape: ShapeName; readonly type: FileType };
  readonly rounds: number;
  readonly contestants: readonly Contestant[];
  readonly lines: readonly Line[];
}

export interface Contestant {
  readonly id: string;
  measure(model: string): Promise<Measured>;
}

/** A line of the table: a quantity of one contestant, and what it is held against. */
export interface Line {
  readonly what: string;
  readonly of: string;
  readonly quantity: string;
  /** The ratio is to the better of these, by the median. */
  readonly against?: readonly { readonly id: string; readonly quantity: string }[];
  /** A read loop, which the bytes that the test reads are held against. */
  readonly reading?: string;
}

export interface RowOptions {
  /** The Nodes that cria runs in. */
  readonly nodes: readonly string[];
  readonly threads: number;
  readonly chromium: string;
  /** Small numbers, to see whether everything runs. */
  readonly quick: boolean;
}

export function allRows(options: RowOptions): Row[] {
  const { threads, quick } = options;
  const large = quick ? { prompt: 32, passes: 4 } : { prompt: 512, passes: 64 };
  const huge = quick ? { prompt: 0, passes: 2 } : { prompt: 0, passes: 16 };
  const small = quick ? { prompt: 32, passes: 32 } : { prompt: 128, passes: 120 };
  const tinyllama = (type: FileType) =>
    againstLlamaCpp("tinyllama", type, large, threads, [1, threads], options);
  const stories = (type: FileType) => againstLlamaCpp("stories15m", type, small, 1, [1], options);
  return [
    tinyllama("Q4_0"),
    tinyllama("Q8_0"),
    tinyllama("Q4_K_M"),
    againstLlamaCpp("7b", "Q4_0", huge, threads, [1, threads], options),
    stories("F32"),
    stories("Q8_0"),
    depthRow(quick ? { depth: 64, passes: 4 } : { depth: 1984, passes: 64 }, options),
    // wllama 3 reads three tokens a second, of a longer prompt too
    browserRow(quick ? { prompt: 16, passes: 4 } : { prompt: 64, passes: 16 }, options),
    loadRow(options),
  ];
}

/** cria in each Node against llama.cpp in this one, with some numbers of threads, and against the read loop. */
function againstLlamaCpp(
  shape: ShapeName,
  type: FileType,
  lengths: Pick<Job, "prompt" | "passes">,
  threads: number,
  peerThreads: readonly number[],
  { nodes, quick }: RowOptions,
): Row {
  const job = { ...lengths, depth: 0 };
  const peers = [...new Set(peerThreads)].map(
    (count): Contestant => ({
      id: `llama.cpp ${count}`,
      measure: (model) => llamaCpp({ ...job, model, threads: count }),
    }),
  );
  const ours = nodes.flatMap((node): Contestant[] => [
    { id: `cria ${node}`, measure: (model) => criaInNode(node, { ...job, model, threads }) },
    { id: `reading ${node}`, measure: () => readLoop(node, threads) },
  ]);
  const tests = [...(job.prompt ? [`pp${job.prompt}`] : []), ...(job.passes ? [`tg${job.passes}`] : [])];
  const lines = tests.flatMap((test) =>
    nodes.map(
      (node): Line => ({
        what: `${shape} ${type}, ${test}`,
        of: `cria ${node}`,
        quantity: test,
        against: peers.map(({ id }) => ({ id, quantity: test })),
        ...(test.startsWith("tg") && { reading: `reading ${node}` }),
      }),
    ),
  );
  return {
    name: `${shape}-${type}`.toLowerCase(),
    model: { shape, type },
    rounds: quick ? 1 : 5,
    contestants: [...peers, ...ours],
    lines,
  };
}

/** Writing deep in the context against writing at its beginning. */
function depthRow(
  { depth, passes }: Pick<Job, "depth" | "passes">,
  { nodes, threads, quick }: RowOptions,
): Row {
  const deep = `tg${passes} @ d${depth}`;
  return {
    name: "depth",
    model: { shape: "tinyllama", type: "Q4_0" },
    rounds: quick ? 1 : 3,
    contestants: nodes.flatMap((node) =>
      [0, depth].map(
        (at): Contestant => ({
          id: `cria ${node} at ${at}`,
          measure: (model) => criaInNode(node, { model, prompt: 0, passes, depth: at, threads }),
        }),
      ),
    ),
    lines: nodes.map((node) => ({
      what: `tinyllama Q4_0, ${deep}`,
      of: `cria ${node} at ${depth}`,
      quantity: deep,
      against: [{ id: `cria ${node} at 0`, quantity: `tg${passes}` }],
    })),
  };
}

function browserRow(
  { prompt, passes }: Pick<Job, "prompt" | "passes">,
  { threads, chromium, quick }: RowOptions,
): Row {
  const contestant = (engine: BrowserEngine): Contestant => ({
    id: engine,
    measure: (model) => inChromium(chromium, engine, { model, prompt, passes, depth: 0, threads }),
  });
  return {
    name: "browser",
    model: { shape: "tinyllama", type: "Q4_0" },
    rounds: quick ? 1 : 3,
    contestants: (["cria", "wllama-2", "wllama-3"] as const).map(contestant),
    lines: [`pp${prompt}`, `tg${passes}`].flatMap((quantity) =>
      ["wllama-2", "wllama-3"].map((id) => ({
        what: `tinyllama Q4_0, ${quantity}, in Chromium`,
        of: "cria",
        quantity,
        against: [{ id, quantity }],
      })),
    ),
  };
}

function loadRow({ nodes, threads, quick }: RowOptions): Row {
  const quantities = ["file to first token, s", "peak memory, MB", "peak memory / plan"];
  return {
    name: "load",
    model: { shape: "tinyllama", type: "Q4_0" },
    rounds: quick ? 1 : 5,
    contestants: nodes.map((node) => ({
      id: `cria ${node}`,
      measure: (model) => loadCost(node, { model, threads, prompt: 0, passes: 0, depth: 0 }),
    })),
    lines: quantities.flatMap((quantity) =>
      nodes.map((node) => ({ what: `tinyllama Q4_0, ${quantity}`, of: `cria ${node}`, quantity })),
    ),
  };
}
