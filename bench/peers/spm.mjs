// SentencePiece's programs and library (Debian: sentencepiece, python3-sentencepiece), and models to train with them.

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * What spm_train is given for each model, beside texts and size: all types, and what changes ids or texts.
 *
 * @param {string} folder where files that the flags name are written
 */
export function usualModels(folder) {
  const rules = join(folder, "rules.tsv");
  // code points of what is replaced and of what it becomes: "A" is "a", "ﬁ" is "fi", ZWJ and U+FE0F nothing, "--" a dash
  writeFileSync(rules, ["41\t61", "FB01\t66 69", "200D\t", "FE0F\t", "2D 2D\t2014", "A\t20", ""].join("\n"));
  return {
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
    bpe_rules: ["--model_type=bpe", `--normalization_rule_tsv=${rules}`, "--byte_fallback"],
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
}

/** @param {string} folder for the files that go to and fro */
export function createSpm(folder, python = "python3") {
  const script = fileURLToPath(new URL("sentencepiece-answers.py", import.meta.url));

  const run = (program, args, options = {}) =>
    execFileSync(program, args, {
      maxBuffer: 2 ** 30,
      stdio: ["pipe", "pipe", "ignore"],
      ...options,
    }).toString();

  return {
    hasLibrary: succeeds(() => run(python, ["-c", "import sentencepiece"])),

    /** The lines that a program makes of lines. */
    lines(program, args, lines) {
      const file = join(folder, "input.txt");
      writeFileSync(file, lines.map((line) => `${line}\n`).join(""));
      return run(program, ["--minloglevel=2", ...args, file])
        .split("\n")
        .slice(0, lines.length);
    },

    /** What the library answers to texts: `{ ids, offsets, normalized, decoded }` for each. */
    answers(model, texts, vocabulary) {
      const input = texts.map(
        (text) => `${JSON.stringify({ text: Buffer.from(text).toString("base64") })}\n`,
      );
      const output = run(python, [script, model, ...(vocabulary ? [vocabulary] : [])], {
        input: input.join(""),
      });
      return output
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line));
    },

    /** Trains a model; gives its path. */
    train(name, inputs, flags) {
      const prefix = join(folder, name);
      run("spm_train", [
        "--minloglevel=2",
        `--input=${inputs.join(",")}`,
        `--model_prefix=${prefix}`,
        "--hard_vocab_limit=false",
        "--shuffle_input_sentence=false",
        ...flags,
      ]);
      return `${prefix}.model`;
    },
  };
}

/** A copy of a ModelProto in which every `step`-th normal piece is of type unused, which spm_train makes none of. */
export function withUnusedPieces(model, step) {
  const unused = Buffer.from([0x18, 5]); // field 3, the type
  const parts = [];
  let normal = 0;
  for (let at = 0; at < model.length; ) {
    const tag = model[at];
    const [length, begin] = readVarint(model, at + 1);
    const end = begin + length;
    if ((tag & 7) !== 2)
      throw new Error(`Cannot change a model: expected messages, found wire type ${tag & 7}`);
    const content = model.subarray(begin, end);
    // spm_train writes no type for normal pieces: theirs end with the score, a fixed32 of field 2
    const isNormal = tag === 0x0a && content.at(-5) === 0x15;
    if (isNormal && normal++ % step === step - 1) {
      parts.push(Buffer.from([0x0a, ...varint(length + 2)]), content, unused);
    } else parts.push(model.subarray(at, end));
    at = end;
  }
  return Buffer.concat(parts);
}

function varint(value) {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

function readVarint(bytes, at) {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++];
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return [value, at];
  }
}

function succeeds(call) {
  try {
    call();
    return true;
  } catch {
    return false;
  }
}
