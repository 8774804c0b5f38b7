// Compares the built tokenizer with SentencePiece's own programs, which have to be installed (Debian: sentencepiece):
//
//     npm run build && node bench/peers/sentencepiece.mjs --texts 20000 [--seconds 300] [--seed 1] [--python python3]
//                                                        [--code-points]
//
// Nasty texts made at random, for the models in ../shared/data and for models that spm_train makes of the texts there:
// ids, pieces, decoded and normalized texts, extra options, restricted vocabularies. Lines are what the programs read and
// have no room for newlines and NULs; texts with these go to SentencePiece's library instead (Debian:
// python3-sentencepiece), where it is there, and so do all code points, if asked for. Exits with 1 where anything differs.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { openTokenizer } from "../../dist/tokenizer/index.js";
import { nastyTexts, onOneLine } from "./nasty-texts.mjs";
import { createSpm, usualModels, withUnusedPieces } from "./spm.mjs";

const { values } = parseArgs({
  options: {
    texts: { type: "string", default: "20000" },
    seconds: { type: "string", default: "300" },
    seed: { type: "string", default: "1" },
    python: { type: "string", default: "python3" },
    "code-points": { type: "boolean", default: false },
  },
});
const data = fileURLToPath(new URL("../../../shared/data/", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "cria-differential-"));
const spm = createSpm(folder, values.python);
/** Texts for one run of the programs. */
const batch = 4000;
/** Extra options, as spm_encode and as encodePieces() take them. */
const extra = ["reverse", "bos", "eos", "unk"];

try {
  const rows = createRows();
  if (values["code-points"]) for (const row of rows) compareWhole(row, allCodePoints());
  const end = performance.now() + 1000 * Number(values.seconds);
  // batch by batch through all models, so that each has had as many texts when time is up
  for (let first = 0; first < Number(values.texts) && performance.now() < end; first += batch) {
    const count = Math.min(batch, Number(values.texts) - first);
    for (const row of rows) {
      const texts = nastyTexts(row.tokenizer, Number(values.seed) + first, count);
      compareLines(row, texts.map(onOneLine));
      if (spm.hasLibrary) compareWhole(row, texts);
    }
  }
  if (!spm.hasLibrary)
    console.log(`not compared: newlines and NULs, since ${values.python} has no sentencepiece`);
  for (const { name, texts, differences } of rows) {
    const counts = Object.entries(differences).map(([what, count]) => `${count} in ${what}`);
    console.log(`${name.padEnd(26)} ${texts} texts: ${counts.length > 0 ? counts.join(", ") : "0"} differ`);
    if (counts.length > 0) process.exitCode = 1;
  }
} finally {
  rmSync(folder, { recursive: true });
}

/** Each model, some of them with unused pieces, some restricted to a part of their vocabulary. */
function createRows() {
  const inputs = ["botchan.txt", "wagahaiwa_nekodearu.txt"].map((file) => join(data, "text", file));
  const paths = {
    llama2: join(data, "tokenizers/llama2/tokenizer.model"),
    tok512: join(data, "models/stories260K/tok512.model"),
    test_model: join(data, "tokenizers/sentencepiece/test_model.model"),
    test_ja_model: join(data, "tokenizers/sentencepiece/test_ja_model.model"),
  };
  for (const [name, flags] of Object.entries(usualModels(folder))) {
    paths[name] = spm.train(name, inputs, ["--vocab_size=4000", "--input_sentence_size=3000", ...flags]);
  }
  const unused = ["tok512", "bpe_bytes", "bpe_across_words", "unigram", "unigram_symbols_keep", "char"];
  for (const name of unused) {
    const path = join(folder, `${name}_unused.model`);
    writeFileSync(path, withUnusedPieces(readFileSync(paths[name]), 3));
    paths[`${name}_unused`] = path;
  }
  const rows = Object.entries(paths).map(([name, path]) => createRow(name, path));
  for (const name of [
    "llama2",
    "bpe_symbols_suffix",
    "bpe_bytes_unused",
    "unigram",
    "unigram_symbols_keep",
  ]) {
    rows.push(restricted(name, paths[name]));
  }
  return rows;
}

function createRow(name, path, vocabulary) {
  const tokenizer = openTokenizer(readFileSync(path), { vocabulary: vocabulary?.pieces });
  // spm_normalize goes by the normalizer alone, which knows neither user-defined symbols nor suffixes
  const normalizes = !name.includes("symbols");
  return { name, path, tokenizer, vocabulary, normalizes, texts: 0, differences: {} };
}

/** A model with the pieces that a vocabulary file counts at least 50 times. */
function restricted(name, path) {
  const whole = openTokenizer(readFileSync(path));
  const lines = [];
  const pieces = [];
  for (let id = 0; id < whole.vocabSize; id++) {
    const piece = whole.piece(id);
    const frequency = (id * 7919) % 100;
    if (/[\t\n\r\0\ufffd]/.test(piece)) continue; // would not come through the file
    lines.push(`${piece}\t${frequency}`);
    if (frequency >= 50) pieces.push(piece);
  }
  const file = join(folder, `${name}.vocabulary`);
  writeFileSync(file, `${lines.join("\n")}\n`);
  const list = join(folder, `${name}.pieces`);
  writeFileSync(list, pieces.join("\n"));
  return createRow(`${name}_restricted`, path, { pieces, file, list });
}

/** Against the programs. */
function compareLines(row, texts) {
  const { path, tokenizer, vocabulary, normalizes } = row;
  const limits = vocabulary ? [`--vocabulary=${vocabulary.file}`, "--vocabulary_threshold=50"] : [];
  const model = `--model=${path}`;
  const ids = spm.lines("spm_encode", [model, "--output_format=id", ...limits], texts);
  const pieces = spm.lines("spm_encode", [model, "--output_format=piece", ...limits], texts);
  const options = `--extra_options=${extra.join(":")}`;
  const extraPieces = spm.lines("spm_encode", [model, "--output_format=piece", options, ...limits], texts);
  const decoded = spm.lines("spm_decode", [model, "--input_format=id"], ids);
  const decodedPieces = spm.lines("spm_decode", [model, "--input_format=piece"], pieces);
  const reversed = spm.lines("spm_decode", [model, "--input_format=id", "--extra_options=reverse"], ids);
  const normalized = normalizes
    ? spm.lines("spm_normalize", [model, "--use_internal_normalization=true"], texts)
    : undefined;
  texts.forEach((text, i) => {
    row.texts++;
    const check = (what, expected, found) => compare(row, what, text, expected, found);
    const theirs = ids[i] === "" ? [] : ids[i].split(" ").map(Number);
    const shown = (options) => tokenizer.encodePieces(text, options).map(({ piece }) => piece);
    check("ids", ids[i], tokenizer.encode(text).join(" "));
    check("pieces", pieces[i], shown().join(" "));
    check("pieces with extra options", extraPieces[i], shown({ extra }).join(" "));
    check("decoded text", decoded[i], tokenizer.decode(theirs));
    check(
      "decoded pieces",
      decodedPieces[i],
      tokenizer.decodePieces(pieces[i] === "" ? [] : pieces[i].split(" ")),
    );
    check("text decoded in reverse", reversed[i], tokenizer.decode(theirs, { reverse: true }));
    if (normalized) check("normalized text", normalized[i], tokenizer.normalize(text));
  });
}

/** Against the library. */
function compareWhole(row, texts) {
  const answers = spm.answers(row.path, texts, row.vocabulary?.list);
  texts.forEach((text, i) => {
    const { ids, offsets, normalized, decoded } = answers[i];
    const check = (what, expected, found) => compare(row, `${what} of whole texts`, text, expected, found);
    const pieces = row.tokenizer.encodePieces(text);
    const characterAt = characterPlaces(text);
    const places = pieces.flatMap(({ begin, end }) => [characterAt[begin], characterAt[end]]);
    check("ids", ids.join(" "), row.tokenizer.encode(text).join(" "));
    check("offsets", offsets.join(" "), places.join(" "));
    check("normalized text", normalized, row.tokenizer.normalize(text));
    check("decoded text", decoded, row.tokenizer.decode(ids));
  });
}

/** All 1,112,064 characters, a hundred to a text, apart from each other. */
function allCodePoints() {
  const texts = [];
  for (let first = 0; first < 0x110000; first += 100) {
    const codes = Array.from({ length: 100 }, (_, i) => first + i);
    const scalars = codes.filter((code) => code < 0x110000 && (code < 0xd800 || code >= 0xe000));
    texts.push(scalars.map((code) => `x${String.fromCodePoint(code)}`).join(""));
  }
  return texts;
}

/** For each place in UTF-16 units the place in characters. */
function characterPlaces(text) {
  const places = [];
  let characters = 0;
  for (const character of text) {
    for (let unit = 0; unit < character.length; unit++) places.push(characters);
    characters++;
  }
  return [...places, characters];
}

function compare({ name, differences }, what, text, expected, found) {
  if (found === expected) return;
  differences[what] = (differences[what] ?? 0) + 1;
  if (differences[what] > 5) return; // the first few say enough
  const shown = [text, expected, found].map((value) => JSON.stringify(value));
  console.log(`${name}: ${what} of ${shown[0]}: expected ${shown[1]}, found ${shown[2]}`);
}
