// Makes test/spm-answers.jsonl.gz, by which `npm test` compares the tokenizer with SentencePiece where that is not
// installed: small models made by spm_train, and what SentencePiece's library and programs answer to nasty texts.
//
//     node bench/peers/make-answers.mjs [--python python3]        (Debian: sentencepiece, python3-sentencepiece)
//
// Each model has a line { name, version, bytes, vocabulary }, followed by one { text, ids, offsets, normalized, decoded } for
// each text, as sentencepiece-answers.py writes them. No code of ours has a part in it but what draws the texts.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { nastyTexts, onOneLine } from "./nasty-texts.mjs";
import { createSpm, usualModels, withUnusedPieces } from "./spm.mjs";

const { values } = parseArgs({ options: { python: { type: "string", default: "python3" } } });
const version = execFileSync("spm_encode", ["--version"]).toString().trim();
const root = fileURLToPath(new URL("../../", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "cria-answers-"));
const spm = createSpm(folder, values.python);
if (!spm.hasLibrary) throw new Error(`Cannot make answers: expected ${values.python} with sentencepiece`);

/** Texts for each model. */
const count = 150;
/** Longer ones say little more, and take room. */
const maxLength = 80;

// the texts' own pieces: nothing of a model, since all models get the same texts
const words = [
  "▁the",
  "▁",
  "▁▁",
  "ing",
  "ab",
  "<sep>",
  "<ctl>",
  "<s>",
  "</s>",
  "<unk>",
  "<0x41>",
  "▁日本",
  "日",
  "ﬁ",
  "--",
];
const source = { vocabSize: words.length, piece: (id) => words[id] };
const texts = ["", " ", "\n", "\0", ...nastyTexts(source, 7, count * 2)]
  .filter((text) => text.length <= maxLength)
  .slice(0, count);

try {
  const training = join(folder, "training.txt");
  const lines = nastyTexts(source, 8, 200).map(onOneLine);
  writeFileSync(training, `${readFileSync(join(root, "README.md"), "utf8")}\n${lines.join("\n")}\n`);
  const out = [];
  for (const { name, path, vocabulary } of models(training)) {
    const list = join(folder, "vocabulary");
    if (vocabulary) writeFileSync(list, vocabulary.join("\n"));
    const answers = spm.answers(path, texts, vocabulary && list);
    checkByPrograms(path, answers, vocabulary && list);
    const bytes = readFileSync(path).toString("base64");
    out.push({ name, version, bytes, vocabulary });
    out.push(...texts.map((text, i) => ({ text, ...answers[i] })));
  }
  const file = gzipSync(out.map((line) => `${JSON.stringify(line)}\n`).join(""), { level: 9 });
  writeFileSync(join(root, "test/spm-answers.jsonl.gz"), file);
  console.log(`${out.length} lines, ${file.length} bytes`);
} finally {
  rmSync(folder, { recursive: true });
}

/** All types and options of usualModels, small: their character maps are custom ones or none, nfkc alone takes 240 KB. */
function* models(training) {
  for (const [name, flags] of Object.entries(usualModels(folder))) {
    const isCustom = flags.some((flag) => flag.startsWith("--normalization_rule_tsv"));
    const rules = isCustom ? [] : ["--normalization_rule_name=identity"];
    const kept = flags.filter((flag) => !flag.startsWith("--normalization_rule_name"));
    const size = ["--vocab_size=700", "--character_coverage=0.98"];
    const path = spm.train(name, [training], [...kept, ...rules, ...size]);
    yield { name, path };
    if (["bpe_rules", "unigram_symbols_keep", "char"].includes(name)) {
      const unused = join(folder, `${name}_unused.model`);
      writeFileSync(unused, withUnusedPieces(readFileSync(path), 3));
      yield { name: `${name}_unused`, path: unused };
    }
    if (["bpe_symbols_suffix", "unigram"].includes(name)) {
      yield {
        name: `${name}_restricted`,
        path,
        vocabulary: ["▁the", "the▁", "th", "▁a", "in", "ing", "▁日本"],
      };
    }
  }
}

/** The programs have to say the same where they can be asked: of texts on one line, their ids and decoded texts. */
function checkByPrograms(path, answers, list) {
  const model = `--model=${path}`;
  const limits = list ? [`--vocabulary=${list}`, "--vocabulary_threshold=1"] : [];
  const lines = texts.map(onOneLine);
  const ids = spm.lines("spm_encode", [model, "--output_format=id", ...limits], lines);
  const decoded = spm.lines("spm_decode", [model, "--input_format=id"], ids);
  texts.forEach((text, i) => {
    if (text !== lines[i]) return;
    const answer = [answers[i].ids.join(" "), answers[i].decoded];
    if (answer.join("\n") !== [ids[i], decoded[i]].join("\n")) {
      throw new Error(`${path}: the library says ${answer}, the programs ${[ids[i], decoded[i]]}`);
    }
  });
}
