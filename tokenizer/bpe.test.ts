import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  bytePieces,
  type ModelDescription,
  type PieceDescription,
  specialPieces,
  writeModelProto,
} from "../test/model-proto-writer.js";
import { openTokenizer, type Tokenizer } from "./index.js";

/** Normal pieces, with scores that fall from 0 in this order. */
function normal(pieces: string): PieceDescription[] {
  return pieces.split(" ").map((piece, i) => ({ piece, score: -i }));
}

function bpeModel(pieces: readonly PieceDescription[], options: Partial<ModelDescription> = {}): Uint8Array {
  return writeModelProto({
    pieces: [...specialPieces, ...pieces],
    trainer: { modelType: 2 },
    normalizer: { removeExtraWhitespaces: false },
    ...options,
  });
}

function encodeAll(tokenizer: Tokenizer, texts: Record<string, number[]>): Record<string, number[]> {
  return Object.fromEntries(Object.keys(texts).map((text) => [text, tokenizer.encode(text)]));
}

// Expected ids are those of spm_encode 0.1.97 with the same model.
describe("BPE, as spm_encode does it,", () => {
  it("merges the pair with the highest score first", () => {
    const tokenizer = openTokenizer(bpeModel(normal("ll he llo ▁he hello ▁hello ▁ h e l o w")));
    const expected = {
      hello: [8],
      "hello hello": [8, 8],
      hhello: [9, 10, 7],
      "xhello w": [9, 0, 7, 9, 14],
      hellohello: [8, 7],
      " hello": [9, 8],
      "hello ": [8, 9],
      "wx yz": [9, 14, 0, 9, 0],
    };
    expect(encodeAll(tokenizer, expected)).toEqual(expected);
  });

  it("merges the leftmost of pairs with the same score", () => {
    const tokenizer = openTokenizer(
      bpeModel([
        { piece: "ab", score: -1 },
        { piece: "bc", score: -1 },
        ...["a", "b", "c"].map((piece) => ({ piece, score: -2 })),
        { piece: "▁", score: -3 },
        { piece: "aa", score: -1 },
      ]),
    );
    const expected = {
      abc: [8, 3, 7],
      aaa: [8, 9, 5],
      aaab: [8, 9, 3],
      aaaabc: [8, 9, 9, 4],
      cab: [8, 7, 3],
    };
    expect(encodeAll(tokenizer, expected)).toEqual(expected);
  });

  it("takes the longest user-defined symbol, and merges it with nothing", () => {
    const tokenizer = openTokenizer(
      bpeModel([
        ...["ab", "abab", "a b", "▁▁"].map((piece) => ({ piece, score: 0, type: 4 })),
        ...normal("ca abc ▁ a b c ▁a"),
      ]),
    );
    const expected = {
      abab: [9, 4],
      ababab: [9, 4, 3],
      caba: [9, 12, 3, 10],
      "a b": [13, 9, 11],
      "  ": [6, 9],
      "▁▁": [6, 9],
      "▁": [6],
      aab: [13, 3],
    };
    expect(encodeAll(tokenizer, expected)).toEqual(expected);
  });

  it("merges through unused pieces and takes apart those that are left", () => {
    const tokenizer = openTokenizer(
      bpeModel([
        { piece: "abc", score: -2, type: 5 },
        { piece: "ab", score: -1 },
        { piece: "bc", score: -1.5 },
        { piece: "abcd", score: -3, type: 5 },
        { piece: "zab", score: 0 },
        ...normal("▁ a b c d z"),
      ]),
    );
    const expected = {
      abc: [8, 4, 11],
      abcd: [8, 4, 11, 12],
      zabc: [8, 7, 11],
      "zabc abc": [8, 7, 11, 8, 4, 11],
      bcabcd: [8, 5, 4, 11, 12],
    };
    expect(encodeAll(tokenizer, expected)).toEqual(expected);
  });

  it("writes unknown characters as the pieces of their bytes", () => {
    const tokenizer = openTokenizer(
      bpeModel([...bytePieces, ...normal("▁ a é 日")], { trainer: { modelType: 2, byteFallback: true } }),
    );
    const expected = {
      é: [259, 261],
      à: [259, 198, 163],
      日本: [259, 262, 233, 159, 175],
      "a\u{1f600}": [259, 260, 243, 162, 155, 131],
      "▁": [259, 259],
    };
    expect(encodeAll(tokenizer, expected)).toEqual(expected);
  });
});

/**
 * SentencePiece's BPE in the plainest way: look for the best pair, merge it, begin again. For models without unused
 * pieces; gives pieces, unknown characters as themselves.
 */
function plainBpe(text: string, pieces: readonly PieceDescription[]): string[] {
  const scores = new Map(
    pieces.filter(({ type }) => type !== 3).map(({ piece, score }) => [piece, score ?? 0]),
  );
  const userDefined = pieces.filter(({ type }) => type === 4).map(({ piece }) => piece as string);
  const symbols: { text: string; frozen: boolean }[] = [];
  for (let rest = text; rest !== ""; ) {
    const longest = userDefined
      .filter((piece) => rest.startsWith(piece))
      .sort((a, b) => b.length - a.length)[0];
    const symbol = longest ?? String.fromCodePoint(rest.codePointAt(0)!);
    symbols.push({ text: symbol, frozen: longest !== undefined });
    rest = rest.slice(symbol.length);
  }
  for (;;) {
    let best = -1;
    let bestScore = -Infinity;
    for (let i = 0; i + 1 < symbols.length; i++) {
      const [left, right] = [symbols[i]!, symbols[i + 1]!];
      const score = left.frozen || right.frozen ? undefined : scores.get(left.text + right.text);
      if (score !== undefined && score > bestScore) {
        best = i;
        bestScore = score;
      }
    }
    if (best < 0) return symbols.map((symbol) => symbol.text);
    symbols.splice(best, 2, { text: symbols[best]!.text + symbols[best + 1]!.text, frozen: false });
  }
}

describe("BPE, cut into words, cached and queued,", () => {
  const letters = ["a", "b", "c", "é", "日", "▁", "\u{1f600}"];
  const piece = fc.record({
    piece: fc
      .array(fc.constantFrom(...letters), { minLength: 1, maxLength: 6 })
      .map((parts) => parts.join("")),
    // few scores, so that many pairs tie
    score: fc.integer({ min: -6, max: 0 }),
    type: fc.constantFrom(1, 1, 1, 1, 4),
  });
  const pieceLists = fc.uniqueArray(piece, { selector: ({ piece }) => piece, minLength: 1, maxLength: 40 });
  const texts = fc
    .array(fc.constantFrom(...letters, " ", "z"), { minLength: 1, maxLength: 60 })
    .map((parts) => parts.join(""));

  it("gives what looking for the best pair over and over gives", () => {
    fc.assert(
      fc.property(pieceLists, fc.array(texts, { minLength: 1, maxLength: 5 }), (pieces, list) => {
        const tokenizer = openTokenizer(
          bpeModel(pieces, { normalizer: { removeExtraWhitespaces: false, addDummyPrefix: false } }),
        );
        // each text twice, the second time from the cache
        for (const text of [...list, ...list]) {
          const escaped = text.replaceAll(" ", "▁");
          const known = plainBpe(escaped, pieces).map((symbol) => tokenizer.id(symbol) ?? 0);
          // a run of unknown characters is one unk
          const expected = known.filter((id, i) => id !== 0 || known[i - 1] !== 0);
          expect(tokenizer.encode(text)).toEqual(expected);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("gives the same for long words as for short ones", () => {
    const pieces = normal("aa ab ba aaaa abab baab ab▁ a b ▁");
    const tokenizer = openTokenizer(
      bpeModel(pieces, { normalizer: { removeExtraWhitespaces: false, addDummyPrefix: false } }),
    );
    const long = fc.array(fc.constantFrom("a", "b", "ab", " "), { minLength: 100, maxLength: 400 });
    fc.assert(
      fc.property(long, (parts) => {
        const text = parts.join("");
        const expected = plainBpe(text.replaceAll(" ", "▁"), pieces);
        expect(tokenizer.encode(text).map((id) => tokenizer.piece(id))).toEqual(expected);
      }),
      { numRuns: 50 },
    );
  });

  it("keeps giving the same ids when far more words have passed than the cache holds", () => {
    const tokenizer = openTokenizer(bpeModel(normal("ab cd abcd ▁ab ▁ a b c d e")));
    const random = fc.sample(
      fc.array(fc.constantFrom("a", "b", "c", "d", "e"), { minLength: 6, maxLength: 12 }),
      {
        numRuns: 3000,
        seed: 1,
      },
    );
    const words = random.map((parts) => parts.join(""));
    const first = words.map((word) => tokenizer.encode(word));
    for (let i = 0; i < 40_000; i++)
      tokenizer.encode(i.toString(5).replace(/\d/g, (digit) => "abcde"[Number(digit)]!));
    expect(words.map((word) => tokenizer.encode(word))).toEqual(first);
  });

  it("encodes a word of a million letters that all merge in n log n", () => {
    const pieces = normal("aaaaaaaa aaaa aa a ▁");
    const tokenizer = openTokenizer(bpeModel(pieces, { normalizer: { addDummyPrefix: false } }));
    const begin = process.cpuUsage();
    const ids = tokenizer.encode("a".repeat(1_000_001));
    expect(process.cpuUsage(begin).user / 1e6).toBeLessThan(2);
    expect(ids).toEqual([...Array(125_000).fill(3), 6]);
  });
});
