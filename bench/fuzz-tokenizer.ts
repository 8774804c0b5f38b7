// Vocabularies and texts broken at random, for hours: nothing may crash, hang, eat the memory, or contradict itself.
//
//     npm run build && node dist/bench/fuzz-tokenizer.js [--seconds 60] [--seed 1] [--cases 1000000]
//
// Case n of seed s is always the same: `--seed s --first n --cases 1` runs it again. Starts from vocabularies of all kinds
// made here, and from those of ../shared/data where it is there. Exits with 1 where something was found.

import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { writeCharacterMap } from "../test/character-map-writer.js";
import { smallModel, smallModelBytes, smallTokenizerBin } from "../test/small-tokenizer.js";
import { writeGguf } from "../test/write-gguf.js";
import { openTokenizer, type Tokenizer, TokenizerError } from "../tokenizer/index.js";
import { Dice, mutateBytes, mutateJson } from "./mutate.js";

/** A case takes a millisecond or two; one that takes this long hangs. */
const hangMs = 20_000;
/** What the whole program may take: Node itself and the files take 200 MB of it. */
const maxResidentBytes = 1.2e9;

/** More than anyone reads. */
const maxFindings = 100;

/** What the two threads know of each other: the case under way, counts. */
const slot = { current: 0, opened: 1, texts: 2 } as const;

/** What is mutated. */
interface Seeds {
  readonly sound: readonly Uint8Array[];
  readonly shared: readonly Uint8Array[];
}

interface Task {
  readonly seed: number;
  readonly first: number;
  readonly cases: number;
  readonly seconds: number;
  readonly shared: SharedArrayBuffer;
}

const encoder = new TextEncoder();

const parts = [
  "\u2581",
  " ",
  "\n",
  "\0",
  "a",
  "th",
  "<s>",
  "</s>",
  "<0x0A>",
  "\u{1f600}",
  "\u65e5",
  "\ufb01",
  "\ufffd",
  "\ud800",
  "e\u0301",
];

if (isMainThread) await watch();
else work(workerData as Task);

/** Runs the cases in a worker and watches over time and memory, which that cannot do itself. */
async function watch(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: "string", default: "60" },
      seed: { type: "string", default: "1" },
      first: { type: "string", default: "0" },
      cases: { type: "string", default: "1000000000" },
    },
  });
  const seed = Number(values.seed);
  const last = Number(values.first) + Number(values.cases);
  const shared = new SharedArrayBuffer(16);
  const counts = new Int32Array(shared);
  const begin = performance.now();
  const secondsLeft = () => Number(values.seconds) - (performance.now() - begin) / 1000;
  let findings = 0;
  const report = (number: number, what: string) => {
    findings++;
    console.log(`seed ${seed}, case ${number}: ${what}`);
  };

  let next = Number(values.first);
  while (next < last && secondsLeft() > 0 && findings < maxFindings) {
    counts[slot.current] = next;
    const task: Task = { seed, first: next, cases: last - next, seconds: secondsLeft(), shared };
    const worker = new Worker(fileURLToPath(import.meta.url), { workerData: task });
    const ended = new Promise<string | undefined>((resolve) => {
      worker.on("message", ([number, what]: [number, string]) => report(number, what));
      worker.on("error", (error) => resolve(String(error)));
      worker.on("exit", (code) => resolve(code === 0 ? undefined : `the worker ended with ${code}`));
    });
    let since = performance.now();
    let seen = -1;
    const guard = setInterval(() => {
      if (counts[slot.current] !== seen) {
        seen = counts[slot.current]!;
        since = performance.now();
      }
      const isStuck = performance.now() - since > hangMs;
      const resident = process.memoryUsage.rss();
      if (!isStuck && resident < maxResidentBytes) return;
      report(seen, isStuck ? `no end after ${hangMs / 1000} s` : `${Math.round(resident / 1e6)} MB in use`);
      void worker.terminate();
    }, 50);
    const end = await ended;
    clearInterval(guard);
    next = counts[slot.current]! + 1;
    if (end && !end.includes("ended with 1")) report(next - 1, end);
  }
  const cases = next - Number(values.first);
  console.log(
    JSON.stringify({
      bench: "fuzz-tokenizer",
      seed,
      seconds: Math.round((performance.now() - begin) / 1000),
      cases,
      opened: counts[slot.opened],
      texts: counts[slot.texts],
      findings,
    }),
  );
  if (findings > 0) process.exitCode = 1;
}

function work({ seed, first, cases, seconds, shared }: Task): void {
  const counts = new Int32Array(shared);
  const seeds = { sound: soundVocabularies(), shared: sharedVocabularies() };
  for (const bytes of seeds.sound) openTokenizer(bytes); // or nothing much would be tested
  const end = performance.now() + 1000 * seconds;
  for (let number = first; number < first + cases && performance.now() < end; number++) {
    Atomics.store(counts, slot.current, number);
    try {
      runCase(new Dice(Math.imul(seed, 0x9e3779b1) ^ number), seeds, counts);
    } catch (error) {
      parentPort!.postMessage([number, (error as Error).stack ?? String(error)]);
    }
  }
}

/** One vocabulary, mostly mutated, and if it opens some texts and ids. Throws what should not be. */
function runCase(dice: Dice, { sound, shared }: Seeds, counts: Int32Array): void {
  const seed = dice.pick(shared.length === 0 || dice.chance(0.6) ? sound : shared);
  let bytes = seed;
  if (dice.chance(0.9)) {
    const isJson = seed[0] === 0x7b;
    bytes =
      isJson && dice.chance(0.8)
        ? encoder.encode(JSON.stringify(mutateJson(JSON.parse(new TextDecoder().decode(seed)), dice)))
        : mutateBytes(seed, dice, dice.pick(sound));
  }
  let tokenizer: Tokenizer;
  try {
    tokenizer = openTokenizer(bytes, {
      conventions: dice.pick([undefined, "llama.cpp"]),
      unigramTies: dice.pick([undefined, "float32"]),
      vocabulary: dice.chance(0.1) ? ["\u2581the", "he", "in"] : undefined,
    });
  } catch (error) {
    if (error instanceof TokenizerError) return;
    throw error;
  }
  Atomics.add(counts, slot.opened, 1);
  for (let left = dice.low(12); left >= 0; left--) {
    Atomics.add(counts, slot.texts, 1);
    checkText(tokenizer, randomText(tokenizer, dice), dice);
  }
  checkIds(tokenizer, dice);
}

function checkText(tokenizer: Tokenizer, text: string, dice: Dice): void {
  const asked = dice.chance(0.3);
  const options = { special: asked, bos: asked && tokenizer.bos !== undefined };
  const ids = tokenizer.encode(text, options);
  for (const id of ids) {
    if (!(Number.isInteger(id) && id >= 0 && id < tokenizer.vocabSize))
      throw new Error(`id ${id} of ${shown(text)}`);
  }
  same(tokenizer.encode(text, options), ids, "encoded again", text);
  same(tokenizer.encode(encoder.encode(text), options), ids, "as bytes", text);
  const bytes = dice.chance(0.5) ? mutateBytes(encoder.encode(text), dice, encoder.encode(text)) : undefined;
  for (const input of bytes ? [text, bytes] : [text]) checkPieces(tokenizer, input);
  checkStream(tokenizer, ids);
  checkDecodedPieces(tokenizer, ids);
  tokenizer.normalize(text);
  if (!dice.chance(0.3) || text.length > 300) return;
  try {
    const sample = {
      seed: dice.below(1000),
      alpha: dice.pick([0, 0.1, 1, 50, 1e300]),
      nBest: dice.pick([undefined, 1, 20]),
    };
    checkStream(tokenizer, tokenizer.encode(text, { sample }));
    const count = 1 + dice.low(64);
    const best = tokenizer.encodeNBest(text, count);
    if (best.length > count) throw new Error(`${best.length} encodings instead of ${count}: ${shown(text)}`);
    for (const way of best) checkStream(tokenizer, way.ids);
  } catch (error) {
    // the vocabulary is of a kind that knows one way only
    if (!(error instanceof TokenizerError)) throw error;
  }
}

/** The pieces have the ids of `encode` and lie in the text from left to right. */
function checkPieces(tokenizer: Tokenizer, input: string | Uint8Array): void {
  const pieces = tokenizer.encodePieces(input);
  same(
    pieces.map(({ id }) => id),
    tokenizer.encode(input),
    "in pieces",
    input,
  );
  let last = 0;
  for (const { begin, end } of pieces) {
    if (!(begin >= last && end >= begin && end <= input.length)) {
      throw new Error(`piece at ${begin} to ${end} after ${last}: ${shown(input)}`);
    }
    last = end;
  }
}

/** Pieces decode as their ids do, where their texts say which they are. */
function checkDecodedPieces(tokenizer: Tokenizer, ids: readonly number[]): void {
  const pieces = ids.map((id) => tokenizer.piece(id));
  if (!pieces.every((piece, i) => tokenizer.id(piece) === ids[i])) return;
  if (tokenizer.decodePieces(pieces) !== tokenizer.decode(ids)) {
    throw new Error(`decoded otherwise as pieces: ${ids.join(" ")}`);
  }
}

/** A stream's parts make up what decode gives. */
function checkStream(tokenizer: Tokenizer, ids: readonly number[]): void {
  const stream = tokenizer.decoder();
  const parts = ids.map((id) => stream.push(id)).join("") + stream.end();
  if (parts !== tokenizer.decode(ids)) throw new Error(`decoded otherwise in a stream: ${ids.join(" ")}`);
}

function checkIds(tokenizer: Tokenizer, dice: Dice): void {
  const ids = Array.from({ length: dice.low(100) }, () => dice.below(tokenizer.vocabSize));
  checkStream(tokenizer, ids);
  const wrong = dice.pick([-1, tokenizer.vocabSize, 1.5, NaN, Infinity, -0.5, 2 ** 32]);
  try {
    tokenizer.decode([...ids, wrong]);
  } catch (error) {
    if (error instanceof RangeError) return;
    throw error;
  }
  throw new Error(`decoded the id ${wrong}`);
}

function same(
  found: readonly number[],
  expected: readonly number[],
  what: string,
  text: string | Uint8Array,
): void {
  if (found.join() !== expected.join()) {
    throw new Error(
      `other ids ${what}: ${shown(text)}: expected ${expected.join(" ")}, found ${found.join(" ")}`,
    );
  }
}

function shown(text: string | Uint8Array): string {
  return JSON.stringify(typeof text === "string" ? text : [...text]).slice(0, 2000);
}

/** Pieces, spaces, characters of every plane and lone surrogates, some of them many times. */
function randomText(tokenizer: Tokenizer, dice: Dice): string {
  let text = "";
  for (let left = dice.low(60); left > 0; left--) {
    const what = dice.below(4);
    if (what === 0)
      text += dice.pick(parts).repeat(1 + (dice.chance(0.02) ? dice.below(5000) : dice.low(20)));
    else if (what === 1) text += tokenizer.piece(dice.below(tokenizer.vocabSize)).replaceAll("\u2581", " ");
    else if (what === 2) text += tokenizer.piece(dice.below(tokenizer.vocabSize)).slice(0, 1 + dice.below(5));
    else text += String.fromCodePoint(dice.low(0x110000));
  }
  return text.slice(0, 20_000);
}

/** Small vocabularies of all kinds. */
function soundVocabularies(): Uint8Array[] {
  const characterMap = writeCharacterMap({
    A: "a",
    "\ufb01": "fi",
    "  ": " ",
    "\u00e9": "e\u0301",
    "x y": "z",
  });
  const types = smallModel.pieces.map(({ type }) => type ?? 1);
  const some = smallModel.pieces.map((piece, id) => ({
    ...piece,
    type: id > 258 && id % 7 === 0 ? 4 + (id % 2) : (piece.type ?? 1),
  }));
  const words = smallModel.pieces.filter(({ type }) => type !== 6);
  const tokens = smallModel.pieces.map(({ piece }) => piece as string);
  const ids = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const gguf = (key: string, type: string, value: unknown) =>
    [`tokenizer.ggml.${key}`, { type, value }] as const;
  return [
    smallModelBytes(),
    smallTokenizerBin(),
    smallTokenizerBin({ legacy: true }),
    smallModelBytes({
      pieces: some,
      normalizer: { characterMap },
      denormalizer: {
        characterMap,
        addDummyPrefix: false,
        removeExtraWhitespaces: false,
        escapeWhitespaces: false,
      },
    }),
    smallModelBytes({
      trainer: { modelType: 1, byteFallback: true },
      pieces: some,
      normalizer: { characterMap },
    }),
    smallModelBytes({
      trainer: { modelType: 1, whitespaceAsSuffix: true },
      pieces: words,
      selfTests: [{ input: "the", expected: "t he \u2581" }],
    }),
    smallModelBytes({ trainer: { modelType: 3 }, pieces: words }),
    smallModelBytes({ trainer: { modelType: 4, byteFallback: true }, pieces: some }),
    writeGguf({
      metadata: [
        gguf("model", "string", "llama"),
        gguf("tokens", "string[]", tokens),
        gguf(
          "scores",
          "f32[]",
          smallModel.pieces.map(({ score }) => score ?? 0),
        ),
        gguf("token_type", "i32[]", types),
        gguf("bos_token_id", "u32", 1),
        gguf("add_space_prefix", "bool", true),
      ],
      tensors: [],
    }),
    encoder.encode(
      JSON.stringify({
        added_tokens: ["<unk>", "<s>", "</s>"].map((content, id) => ({
          id,
          content,
          special: true,
          lstrip: id === 1,
          rstrip: id === 2,
          normalized: false,
        })),
        normalizer: {
          type: "Sequence",
          normalizers: [
            { type: "Prepend", prepend: "\u2581" },
            { type: "Replace", pattern: { String: " " }, content: "\u2581" },
          ],
        },
        pre_tokenizer: null,
        post_processor: null,
        decoder: {
          type: "Sequence",
          decoders: [
            { type: "Replace", pattern: { String: "\u2581" }, content: " " },
            { type: "ByteFallback" },
            { type: "Fuse" },
            { type: "Strip", content: " ", start: 1, stop: 0 },
          ],
        },
        model: {
          type: "BPE",
          unk_token: "<unk>",
          byte_fallback: true,
          fuse_unk: true,
          vocab: ids,
          merges: ["h e", "\u2581 t", "\u2581t he", "n d", "\u2581 s"],
        },
      }),
    ),
  ];
}

/** Small files of ../shared/data, good and bad. */
function sharedVocabularies(): Uint8Array[] {
  const data = fileURLToPath(new URL("../../../shared/data", import.meta.url));
  const folders = [
    "tokenizers/sentencepiece",
    "models/stories260K",
    "bad/badmodels",
    "bad/badvocab",
    "tokenizers/gold",
  ];
  return folders
    .map((folder) => join(data, folder))
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder).map((file) => join(folder, file)))
    .filter((file) => /\.(model|gguf)$|tok512\.bin$/.test(file) && statSync(file).size < 300_000)
    .map((file) => new Uint8Array(readFileSync(file)));
}
