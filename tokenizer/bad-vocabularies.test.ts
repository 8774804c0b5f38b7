import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { sharedData } from "../test/shared-data.js";
import { openTokenizer, TokenizerError, UnsupportedTokenizerError } from "./index.js";

/** What opening a file comes to. */
type Verdict = "opens" | "refused" | "unsupported";

function verdict(path: string): Verdict {
  try {
    openTokenizer(readFileSync(path), { name: path }).encode("Hello wörld \u{1f600}");
    return "opens";
  } catch (error) {
    if (error instanceof UnsupportedTokenizerError) return "unsupported";
    if (error instanceof TokenizerError) return "refused";
    throw error;
  }
}

function names(folder: string, extension: string): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith(extension))
    .map((file) => file.slice(0, -extension.length));
}

const models = sharedData("bad/badmodels");
const references = sharedData("bad/badmodels.jsonl");
const vocabularies = sharedData("bad/badvocab");

describe.skipIf(!models || !references)("broken SentencePiece models", () => {
  /**
   * Where the verdict is another than SentencePiece 0.2.2's (for reasons in tokenizer-study). All others follow 0.2.2.
   */
  const exceptions: Record<string, Verdict> = {
    // JSON is a vocabulary of another kind, and said to be
    json_tokenizer: "unsupported",
    // 0.2.2 refuses a NUL in a piece: real models have it
    nul_in_piece: "opens",
    nul_in_piece_unigram: "opens",
    nul_dup_unigram: "opens",
    // no order of merges follows from NaN
    score_nan: "refused",
  };

  interface Reference {
    readonly case: string;
    readonly "sentencepiece-0.1.97": string | { load: string; enc?: (number | string)[][] };
    readonly "sentencepiece-0.2.2": string | { load: string; enc?: (number | string)[][] };
  }

  const cases: Reference[] = references
    ? readFileSync(references, "utf8")
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as Reference)
    : [];
  const present = models ? new Set(names(models, ".model")) : new Set();

  it("open or are refused as by SentencePiece 0.2.2, but for the exceptions", () => {
    const found: Record<string, Verdict> = {};
    const expected: Record<string, Verdict> = {};
    for (const { case: name, "sentencepiece-0.2.2": reference } of cases) {
      if (!present.has(name)) continue;
      found[name] = verdict(`${models}/${name}.model`);
      const loads = typeof reference === "object" && reference.load === "ok";
      expected[name] = exceptions[name] ?? (loads ? "opens" : "refused");
    }
    expect(Object.keys(found).length).toBeGreaterThanOrEqual(79);
    expect(found).toEqual(expected);
  });

  it("that open give the ids that SentencePiece 0.1.97 gives, and else 0.2.2", () => {
    // the texts of the references' verdicts; long lists of ids are cut there by "..."
    const texts = ["ab", "hello wörld ab", "a".repeat(5000)];
    let compared = 0;
    for (const { case: name, ...reference } of cases) {
      if (!present.has(name) || verdict(`${models}/${name}.model`) !== "opens") continue;
      const old = reference["sentencepiece-0.1.97"];
      const { enc } = (typeof old === "object" ? old : reference["sentencepiece-0.2.2"]) as {
        enc?: (number | string)[][];
      };
      const tokenizer = openTokenizer(readFileSync(`${models}/${name}.model`));
      texts.forEach((text, i) => {
        const ids = tokenizer.encode(text);
        const wanted = enc![i]!;
        const cut = wanted.indexOf("...");
        const seen = cut < 0 ? ids : [...ids.slice(0, cut), "...", ids.length];
        expect([name, text.slice(0, 20), ...seen]).toEqual([name, text.slice(0, 20), ...wanted]);
        compared++;
      });
    }
    expect(compared).toBeGreaterThan(30);
  });
});

describe.skipIf(!vocabularies)("broken GGUF vocabularies", () => {
  it("are refused, unless what is odd about them does not touch the pieces", () => {
    const expected: Record<string, Verdict> = {
      add_bos_wrong_type: "refused",
      bad_utf8_token: "opens",
      bos_neg: "refused",
      bos_oob: "refused",
      bos_wrong_type: "refused",
      byte_token_bad_hex: "refused",
      byte_token_short: "refused",
      dup_token: "refused",
      empty_token: "refused",
      gpt2_bad_merge: "unsupported",
      gpt2_merges_wrong_type: "unsupported",
      gpt2_no_merges: "unsupported",
      huge_token: "refused",
      no_byte_tokens: "refused",
      no_model: "refused",
      no_scores: "refused",
      no_tokens: "refused",
      no_types: "opens",
      nul_token: "opens",
      ok: "opens",
      scores_long: "refused",
      scores_nan: "refused",
      scores_short: "refused",
      scores_string: "refused",
      tokens_empty: "refused",
      tokens_wrong_type: "refused",
      types_float: "refused",
      types_out_of_range: "refused",
      types_short: "refused",
      unknown_model: "unsupported",
    };
    const files = names(vocabularies!, ".gguf");
    expect(files.length).toBeGreaterThanOrEqual(29);
    const found = Object.fromEntries(files.map((name) => [name, verdict(`${vocabularies}/${name}.gguf`)]));
    expect(found).toEqual(Object.fromEntries(files.map((name) => [name, expected[name]])));
  });

  it("of the fixtures without scores are refused for that", () => {
    for (const file of ["tiny_llama_f32.gguf", "tiny_llama_f16.gguf", "tiny_llama_q8.gguf"]) {
      const path = sharedData(`models/hf-fixtures/${file}`);
      if (path) expect(() => openTokenizer(readFileSync(path))).toThrow("the vocabulary has no scores");
    }
  });
});
