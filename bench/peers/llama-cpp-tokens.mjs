// Compares the option `conventions: "llama.cpp"` of the built tokenizer with llama.cpp itself, on nasty texts:
//
//     npm run build && cd bench/peers && npm install && node llama-cpp-tokens.mjs [--texts 5000] [--seed 1]
//
// GGUF vocabularies of ../shared/data, and one made here that has user-defined and unused tokens and no space in front.
// Ids without and with special tokens, and texts of ids, each part of them. Exits with 1 where anything differs.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { getLlama, LlamaLogLevel } from "node-llama-cpp";
import { smallModel } from "../../dist/test/small-tokenizer.js";
import { writeGguf } from "../../dist/test/write-gguf.js";
import { openTokenizer } from "../../dist/tokenizer/index.js";
import { nastyTexts } from "./nasty-texts.mjs";

const { values } = parseArgs({
  options: { texts: { type: "string", default: "5000" }, seed: { type: "string", default: "1" } },
});
const data = fileURLToPath(new URL("../../../shared/data/", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "cria-llama-cpp-"));
const llama = await getLlama({ gpu: false, build: "never", logLevel: LlamaLogLevel.disabled });

try {
  const paths = {
    "ggml-vocab-llama-spm": join(data, "tokenizers/llama2/ggml-vocab-llama-spm.gguf"),
    stories260K: join(data, "models/stories260K/stories260K.gguf"),
    small: smallVocabulary({ addSpacePrefix: true }),
    "small, no space": smallVocabulary({ addSpacePrefix: false }),
    "small, all types": smallVocabulary({ addSpacePrefix: true, oddTypes: true }),
  };
  for (const [name, path] of Object.entries(paths)) await compare(name, path);
} finally {
  rmSync(folder, { recursive: true });
}

/** The tests' small model as a GGUF without tensors; with odd types a few tokens are user-defined or unused. */
function smallVocabulary({ addSpacePrefix, oddTypes = false }) {
  // user-defined tokens that do not overlap, since llama.cpp finds the longest first and cria the leftmost
  const odd = new Map(
    [..."日éz"]
      .map((piece) => [piece, 4])
      .concat([
        ["▁cat", 4],
        ["▁the", 5],
        ["er", 5],
        ["o", 5],
      ]),
  );
  const types = smallModel.pieces.map(({ piece, type = 1 }) => (oddTypes && odd.get(piece)) || type);
  const gguf = (key, type, value) => [`tokenizer.ggml.${key}`, { type, value }];
  const path = join(folder, `small-${addSpacePrefix}-${oddTypes}.gguf`);
  const bytes = writeGguf({
    metadata: [
      ["general.architecture", { type: "string", value: "llama" }],
      gguf("model", "string", "llama"),
      gguf(
        "tokens",
        "string[]",
        smallModel.pieces.map(({ piece }) => piece),
      ),
      gguf(
        "scores",
        "f32[]",
        smallModel.pieces.map(({ score = 0 }) => score),
      ),
      gguf("token_type", "i32[]", types),
      gguf("add_space_prefix", "bool", addSpacePrefix),
    ],
    tensors: [],
  });
  writeFileSync(path, bytes);
  return path;
}

async function compare(name, path) {
  const tokenizer = openTokenizer(readFileSync(path), { conventions: "llama.cpp" });
  const model = await llama.loadModel({ modelPath: path, vocabOnly: true });
  const differences = {};
  const texts = nastyTexts(tokenizer, Number(values.seed), Number(values.texts));
  for (const text of texts) {
    for (const special of [false, true]) {
      const theirs = model.tokenize(text, special);
      const ours = tokenizer.encode(text, { special });
      const what = special ? "ids with special tokens" : "ids";
      if (ours.join() !== theirs.join())
        report(name, what, text, theirs.join(" "), ours.join(" "), differences);
      const decoded = model.detokenize(theirs, false);
      const found = tokenizer.decode(theirs);
      if (found !== decoded) report(name, `text of ${what}`, theirs.join(" "), decoded, found, differences);
    }
  }
  const counts = Object.entries(differences).map(([what, count]) => `${count} in ${what}`);
  console.log(`${name.padEnd(22)} ${texts.length} texts: ${counts.join(", ") || "0"} differ`);
  if (counts.length > 0) process.exitCode = 1;
  await model.dispose();
}

function report(name, what, input, expected, found, differences) {
  differences[what] = (differences[what] ?? 0) + 1;
  if (differences[what] > 3) return; // the first few say enough
  const shown = [input, expected, found].map((value) => JSON.stringify(value));
  console.log(`${name}: ${what} of ${shown[0]}: expected ${shown[1]}, found ${shown[2]}`);
}
