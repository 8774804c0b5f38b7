import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { goldEncodings, goldFolder, goldModel, goldNBest, goldTies } from "../test/gold.js";
import { type PieceDescription, specialPieces, writeModelProto } from "../test/model-proto-writer.js";
import { openTokenizer, type Tokenizer, TokenizerError } from "./index.js";

function unigramModel(pieces: readonly PieceDescription[]): Uint8Array {
  return writeModelProto({
    pieces: [...specialPieces, ...pieces],
    trainer: { modelType: 1 },
    normalizer: { removeExtraWhitespaces: false, addDummyPrefix: false },
  });
}

/** All ways to cut a text into pieces, by plain recursion: their scores in float64. */
function allWays(text: string, pieces: readonly PieceDescription[]): { pieces: string[]; score: number }[] {
  if (text === "") return [{ pieces: [], score: 0 }];
  return pieces.flatMap(({ piece, score = 0 }) =>
    text.startsWith(piece as string)
      ? allWays(text.slice(piece.length), pieces).map((rest) => ({
          pieces: [piece as string, ...rest.pieces],
          score: score + rest.score,
        }))
      : [],
  );
}

function piecesOf(tokenizer: Tokenizer, ids: readonly number[]): string[] {
  return ids.map((id) => tokenizer.piece(id));
}

describe.skipIf(!goldFolder)("against SentencePiece, the unigram tokenizer", () => {
  it("gives the ids of 0.2.2 with unigramTies: float32, on all texts, also where 0.1.97 gives others", () => {
    const ties = goldTies();
    expect(ties).toHaveLength(208);
    for (const model of ["uni_nmt", "uni_keepws", "uni_uds", "uni_nmtcf_bf_suf"]) {
      const tokenizer = openTokenizer(goldModel(model), { unigramTies: "float32" });
      const changed = new Map(
        ties.filter((tie) => tie.model === model).map(({ name, ids }) => [name, ids] as const),
      );
      const wrong = goldEncodings(model).filter(
        ({ name, text, ids }) => tokenizer.encode(text).join() !== (changed.get(name) ?? ids).join(),
      );
      expect([model, ...wrong.map(({ name }) => name)]).toEqual([model]);
    }
  });

  it("lists the best encodings in the order of 0.1.97", () => {
    const tokenizers = new Map<string, Tokenizer>();
    let compared = 0;
    for (const { m, t, n, nbest } of goldNBest()) {
      if (!["uni_nmt", "uni_uds"].includes(m)) continue; // the other models are not there
      const tokenizer = tokenizers.get(m) ?? openTokenizer(goldModel(m));
      tokenizers.set(m, tokenizer);
      expect(tokenizer.encodeNBest(t, Math.max(1, n)).map(({ ids }) => ids)).toEqual(nbest);
      compared++;
    }
    expect(compared).toBe(60);
  });

  it("lists 512 of them in that order where hypotheses are so many that most are dropped", () => {
    const tokenizer = openTokenizer(goldModel("uni_nmt"));
    const lists = tokenizer.encodeNBest("th".repeat(50), 512).map(({ ids }) => ids.join(" "));
    // from spm_encode 0.1.97 --output_format=nbest_id --nbest_size=512
    expect(lists).toHaveLength(512);
    expect(createHash("sha256").update(lists.join("\n")).digest("hex")).toBe(
      "6b626e844e2b7c8cf559a93feac4ca3e47750cf4863832c754c5513c624fccf3",
    );
  });

  it("encodes a megabyte of one letter, of one word and of unknown characters in linear time", () => {
    const tokenizer = openTokenizer(goldModel("uni_nmt"));
    for (const text of ["a".repeat(1e6), "internationalization".repeat(5e4), "\u{10300}".repeat(250_000)]) {
      const begin = process.cpuUsage();
      tokenizer.encode(text);
      expect(process.cpuUsage(begin).user / 1e6).toBeLessThan(2);
    }
  });
});

describe("a unigram tokenizer", () => {
  const piece = fc.record({
    piece: fc.string({ unit: fc.constantFrom("a", "b", "é", "日"), minLength: 1, maxLength: 4 }),
    // multiples of 1/8: their sums are exact in float32, so that the order of addition does not matter
    score: fc.integer({ min: -80, max: -1 }).map((eighths) => eighths / 8),
  });
  const letters = ["a", "b", "é", "日"].map((letter) => ({ piece: letter, score: -10.125 }));
  const pieceLists = fc
    .uniqueArray(piece, { selector: ({ piece }) => piece, maxLength: 20 })
    .map((list) => [...list, ...letters.filter((letter) => !list.some((p) => p.piece === letter.piece))]);
  const texts = fc.string({ unit: fc.constantFrom("a", "b", "é", "日"), minLength: 1, maxLength: 9 });

  it("finds a way with the best score of all, and lists the best ones in their order", () => {
    fc.assert(
      fc.property(pieceLists, texts, (pieces, text) => {
        const tokenizer = openTokenizer(unigramModel(pieces));
        const scores = new Map(pieces.map(({ piece, score }) => [piece, score]));
        const sum = (ids: readonly number[]) =>
          piecesOf(tokenizer, ids).reduce((total, name) => total + scores.get(name)!, 0);
        const ways = allWays(text, pieces).sort((a, b) => b.score - a.score);
        expect(sum(tokenizer.encode(text))).toBe(ways[0]!.score);

        const listed = tokenizer.encodeNBest(text, 512);
        expect(listed.map(({ score }) => score)).toEqual(ways.slice(0, 512).map(({ score }) => score));
        for (const { ids, score } of listed) {
          expect(piecesOf(tokenizer, ids).join("")).toBe(text);
          expect(sum(ids)).toBe(score);
        }
        expect(new Set(listed.map(({ ids }) => ids.join())).size).toBe(Math.min(512, ways.length));
      }),
      { numRuns: 200 },
    );
  });

  it("samples each way as often as its score says", () => {
    const pieces = [
      { piece: "a", score: -1 },
      { piece: "b", score: -1.5 },
      { piece: "ab", score: -2 },
      { piece: "aba", score: -4 },
      { piece: "ba", score: -2.25 },
    ];
    const tokenizer = openTokenizer(unigramModel(pieces));
    const ways = allWays("aba", pieces);
    expect(ways).toHaveLength(4);
    for (const [alpha, nBest] of [
      [1, undefined],
      [0, undefined],
      [0.5, 2],
    ] as const) {
      const drawn = new Map<string, number>();
      for (let seed = 0; seed < 20_000; seed++) {
        const ids = tokenizer.encode("aba", { sample: { seed, alpha, nBest } });
        const key = piecesOf(tokenizer, ids).join(" ");
        drawn.set(key, (drawn.get(key) ?? 0) + 1);
      }
      const possible = ways.sort((a, b) => b.score - a.score).slice(0, nBest ?? ways.length);
      const total = possible.reduce((sum, { score }) => sum + Math.exp(alpha * score), 0);
      expect(drawn.size).toBe(possible.length);
      for (const { pieces, score } of possible) {
        const expected = Math.exp(alpha * score) / total;
        // four standard deviations of a share of 20,000 draws are at most 0.015
        expect(Math.abs(drawn.get(pieces.join(" "))! / 20_000 - expected)).toBeLessThan(0.015);
      }
    }
  });

  it("draws the best encoding where alpha is large, however long the text", () => {
    const tokenizer = openTokenizer(unigramModel([...letters, { piece: "ab", score: -20 }]));
    const text = "abba日é".repeat(300);
    for (const alpha of [100, 1e300]) {
      expect(tokenizer.encode(text, { sample: { seed: 3, alpha } })).toEqual(tokenizer.encode(text));
      const few = { seed: 3, alpha, nBest: 4 };
      expect(tokenizer.encode("abab", { sample: few })).toEqual(tokenizer.encode("abab"));
    }
  });

  it("draws the same encoding from the same seed", () => {
    const tokenizer = openTokenizer(unigramModel([...letters, { piece: "ab", score: -20 }]));
    const text = "ab".repeat(50);
    const draw = (seed: number) => tokenizer.encode(text, { sample: { seed, alpha: 0.1 } }).join();
    expect(draw(7)).toBe(draw(7));
    expect(draw(7)).not.toBe(draw(8));
  });

  it("refuses numbers that make no list and no sample", () => {
    const tokenizer = openTokenizer(unigramModel(letters));
    for (const count of [0, -1, 513, 1.5, Number.NaN]) {
      expect(() => tokenizer.encodeNBest("a", count)).toThrow(`from 1 to 512, found ${count}`);
      expect(() => tokenizer.encode("a", { sample: { seed: 1, alpha: 1, nBest: count } })).toThrow(
        RangeError,
      );
    }
    expect(() => tokenizer.encode("a", { sample: { seed: 1, alpha: Number.NaN } })).toThrow(RangeError);
    expect(tokenizer.encodeNBest("", 5)).toEqual([{ ids: [], score: 0 }]);
    expect(tokenizer.encode("", { sample: { seed: 1, alpha: 1 } })).toEqual([]);
  });

  it("is the only one that lists the best encodings", () => {
    const bpe = openTokenizer(
      writeModelProto({ pieces: [...specialPieces, { piece: "a" }], trainer: { modelType: 2 } }),
    );
    expect(() => bpe.encodeNBest("a", 2)).toThrow(TokenizerError);
    expect(() => bpe.encodeNBest("a", 2)).toThrow("expected a unigram model, found a bpe model");
  });
});

describe("BPE-dropout", () => {
  const model = writeModelProto({
    pieces: [
      ...specialPieces,
      ...["ab", "abc", "a", "b", "c", "▁"].map((piece, i) => ({ piece, score: -i })),
    ],
    trainer: { modelType: 2 },
    normalizer: { addDummyPrefix: false },
  });

  it("leaves out no merge at 0, all at 1, and else as many as alpha says", () => {
    const tokenizer = openTokenizer(model);
    const sample = (seed: number, alpha: number) =>
      piecesOf(tokenizer, tokenizer.encode("abc", { sample: { seed, alpha } })).join(" ");
    expect(sample(1, 0)).toBe("abc");
    expect(sample(1, 1)).toBe("a b c");
    let whole = 0;
    let halves = 0;
    for (let seed = 0; seed < 20_000; seed++) {
      const pieces = sample(seed, 0.25);
      if (pieces === "abc") whole++;
      else if (pieces === "ab c") halves++;
    }
    // both merges happen: 0.75^2; only the first: 0.75 * 0.25. Four standard deviations are 0.014.
    expect(Math.abs(whole / 20_000 - 0.5625)).toBeLessThan(0.015);
    expect(Math.abs(halves / 20_000 - 0.1875)).toBeLessThan(0.015);
    expect(tokenizer.encode("abc")).toEqual([4]);
  });

  it("is not available for char models", () => {
    const char = openTokenizer(
      writeModelProto({ pieces: [...specialPieces, { piece: "a" }], trainer: { modelType: 4 } }),
    );
    expect(() => char.encode("a", { sample: { seed: 1, alpha: 0.1 } })).toThrow(
      "expected a unigram or BPE model, found a char model",
    );
  });
});
