// Compares the built tokenizer with SentencePiece's own programs, which have to be installed (Debian: sentencepiece):
//
//     npm run build && node bench/peers/sentencepiece.mjs --texts 20000 [--seconds 300] [--seed 1]
//
// Ids and decoded texts, on nasty texts made at random, for the models in ../shared/data and for models that spm_train
// makes of them here. Exits with 1 where anything differs. Lines are what the programs read: texts hold no newlines,
// and no NULs and lone surrogates, which have no way through a line of UTF-8.

import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { openTokenizer } from "../../dist/tokenizer/index.js";
import { nastyTexts } from "./nasty-texts.mjs";

const { values } = parseArgs({
  options: {
    texts: { type: "string", default: "20000" },
    seconds: { type: "string", default: "300" },
    seed: { type: "string", default: "1" },
  },
});
const data = fileURLToPath(new URL("../../../shared/data/", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "cria-differential-"));
/** Texts for one run of the programs. */
const batch = 4000;

/** What spm_train is given, beside the text and the size. */
const trained = {
  bpe_bytes: ["--model_type=bpe", "--byte_fallback", "--character_coverage=0.99"],
  bpe_identity_keep: [
    "--model_type=bpe",
    "--normalization_rule_name=identity",
    "--remove_extra_whitespaces=false",
  ],
  bpe_symbols_suffix: [
    "--model_type=bpe",
    "--user_defined_symbols=<sep>,ab,  ,▁the",
    "--treat_whitespace_as_suffix",
  ],
  bpe_across_words: ["--model_type=bpe", "--split_by_whitespace=false", "--add_dummy_prefix=false"],
  unigram: ["--model_type=unigram"],
  unigram_bytes_fold: [
    "--model_type=unigram",
    "--byte_fallback",
    "--normalization_rule_name=nmt_nfkc_cf",
    "--control_symbols=<ctl>",
  ],
  unigram_symbols_keep: [
    "--model_type=unigram",
    "--user_defined_symbols=<sep>,ing,日本",
    "--remove_extra_whitespaces=false",
  ],
  word: ["--model_type=word", "--add_dummy_prefix=true"],
  char: ["--model_type=char", "--normalization_rule_name=nfkc"],
};

let failed = false;
try {
  const models = {
    llama2: join(data, "tokenizers/llama2/tokenizer.model"),
    tok512: join(data, "models/stories260K/tok512.model"),
    test_model: join(data, "tokenizers/sentencepiece/test_model.model"),
    test_ja_model: join(data, "tokenizers/sentencepiece/test_ja_model.model"),
  };
  for (const [name, flags] of Object.entries(trained)) models[name] = train(name, flags);

  const end = performance.now() + 1000 * Number(values.seconds);
  const open = Object.entries(models).map(([name, path]) => ({
    name,
    path,
    tokenizer: openTokenizer(readFileSync(path)),
    texts: 0,
    ids: 0,
    decodings: 0,
  }));
  // batch by batch through all models, so that each has had as many texts when time is up
  for (let first = 0; first < Number(values.texts) && performance.now() < end; first += batch) {
    for (const row of open) {
      const count = Math.min(batch, Number(values.texts) - first);
      compare(row, nastyTexts(row.tokenizer, Number(values.seed) + first, count));
    }
  }
  for (const { name, texts, ids, decodings } of open) {
    console.log(`${name.padEnd(22)} ${texts} texts: ${ids} differ in ids, ${decodings} in decoded text`);
    failed ||= ids + decodings > 0;
  }
} finally {
  rmSync(folder, { recursive: true });
}
if (failed) process.exitCode = 1;

function train(name, flags) {
  const prefix = join(folder, name);
  const inputs = ["botchan.txt", "wagahaiwa_nekodearu.txt"].map((file) => join(data, "text", file));
  if (!inputs.every((file) => existsSync(file)))
    throw new Error(`Cannot train: expected ${inputs.join(" and ")}`);
  run("spm_train", [
    `--input=${inputs.join(",")}`,
    `--model_prefix=${prefix}`,
    "--vocab_size=4000",
    "--hard_vocab_limit=false",
    "--input_sentence_size=3000",
    "--shuffle_input_sentence=false",
    ...flags,
  ]);
  return `${prefix}.model`;
}

function compare(row, texts) {
  const lines = run("spm_encode", [`--model=${row.path}`, "--output_format=id"], texts);
  const decoded = run("spm_decode", [`--model=${row.path}`, "--input_format=id"], lines);
  texts.forEach((text, i) => {
    const found = row.tokenizer.encode(text).join(" ");
    row.texts++;
    if (found !== lines[i]) report(row.name, "ids", text, lines[i], found, row.ids++);
    const back = row.tokenizer.decode(lines[i] === "" ? [] : lines[i].split(" ").map(Number));
    if (back !== decoded[i]) report(row.name, "text", text, decoded[i], back, row.decodings++);
  });
}

function report(name, what, text, expected, found, before) {
  if (before >= 5) return; // the first few say enough
  console.log(`${name}: ${what} of ${JSON.stringify(text)}: expected ${expected}, found ${found}`);
}

/** The lines that a program makes of lines. */
function run(program, args, lines = []) {
  const file = join(folder, "input.txt");
  writeFileSync(file, lines.map((line) => `${line}\n`).join(""));
  const input = program === "spm_train" ? [] : [file];
  const output = execFileSync(program, ["--minloglevel=2", ...args, ...input], {
    maxBuffer: 2 ** 30,
    stdio: ["ignore", "pipe", "ignore"],
  });
  return output.toString().split("\n").slice(0, lines.length);
}
