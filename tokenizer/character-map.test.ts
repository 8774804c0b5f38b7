import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { writeCharacterMap } from "../test/character-map-writer.js";
import { smallModelBytes } from "../test/small-tokenizer.js";
import { CharacterMap } from "./character-map.js";
import { openTokenizer, TokenizerError } from "./index.js";
import { plainNormalization } from "./model.js";
import { normalize } from "./normalize.js";
import { decodeUtf8, encodeUtf8 } from "./utf8.js";

const rules = { A: "a", AB: "x", "\u3000": " ", ﬁ: "fi", é: "e\u0301", "\t": " ", "\u200b": "" };
const blob = writeCharacterMap(rules);
const characterMap = new CharacterMap(blob, "test", "normalizer_spec");

function rewritten(text: string, changes: Partial<typeof plainNormalization> = {}): string {
  const options = { ...plainNormalization, addDummyPrefix: false, characterMap, ...changes };
  const { bytes, length } = normalize(encodeUtf8(text), options, undefined);
  return decodeUtf8(bytes, 0, length);
}

describe("a character map", () => {
  it("rewrites by the longest rule at each place", () => {
    expect(rewritten("AABA")).toBe("axa");
    expect(rewritten("ﬁé!\u{1f600}")).toBe("fie\u0301!\u{1f600}");
    expect(rewritten("a\u200bb")).toBe("ab");
  });

  it("makes spaces that are treated as spaces", () => {
    expect(rewritten("a\u3000b\tc")).toBe("a▁b▁c");
    expect(rewritten("\u3000 a\t \tb\u3000", { removeExtraWhitespaces: true })).toBe("a▁b");
    expect(rewritten("\u3000\t", { removeExtraWhitespaces: true })).toBe("");
  });

  it("is applied before the text is cut into pieces", () => {
    const tokenizer = openTokenizer(
      smallModelBytes({ normalizer: { removeExtraWhitespaces: false, characterMap: blob } }),
    );
    expect(tokenizer.encode("the\u3000cAt")).toEqual(tokenizer.encode("the cat"));
  });

  it("does what looking at every rule does", () => {
    const sides = fc.string({ unit: fc.constantFrom("a", "b", "é", "日", " "), maxLength: 3 });
    const tables = fc.dictionary(
      sides.filter((side) => side !== ""),
      sides,
      { maxKeys: 8 },
    );
    const text = fc.string({ unit: fc.constantFrom("a", "b", "é", "日", " ", "z"), maxLength: 20 });
    fc.assert(
      fc.property(tables, text, (table, text) => {
        if (Object.keys(table).length === 0) return;
        const map = new CharacterMap(writeCharacterMap(table), "test", "normalizer_spec");
        expect(rewritten(text, { characterMap: map })).toBe(plainRewrite(text, table).replaceAll(" ", "▁"));
      }),
    );
  });
});

/** The plain twin: at each place the longest of all rules. */
function plainRewrite(text: string, table: Record<string, string>): string {
  let result = "";
  for (let rest = text; rest !== ""; ) {
    const from = Object.keys(table)
      .filter((key) => rest.startsWith(key))
      .sort((a, b) => b.length - a.length)[0];
    const character = String.fromCodePoint(rest.codePointAt(0)!);
    result += from === undefined ? character : table[from];
    rest = rest.slice((from ?? character).length);
  }
  return result;
}

describe("a character map that is broken", () => {
  const changed = (change: (bytes: Uint8Array, view: DataView) => void) => () => {
    const bytes = blob.slice();
    change(bytes, new DataView(bytes.buffer));
    return new CharacterMap(bytes, "t.model", "normalizer_spec");
  };
  const unit = (position: number) => 4 + 4 * position;

  it.each<[string, () => unknown, string]>([
    [
      "of four bytes",
      () => new CharacterMap(blob.slice(0, 4), "t", "f"),
      "expected more than 4 bytes, found 4",
    ],
    [
      "whose trie is all of it",
      changed((bytes, view) => view.setUint32(0, bytes.length - 4, true)),
      "expected a trie of fewer than",
    ],
    [
      "whose trie has no whole blocks",
      changed((_, view) => view.setUint32(0, 1020, true)),
      "expected a trie in blocks of 1024 bytes",
    ],
    [
      "without a trie",
      changed((_, view) => view.setUint32(0, 0, true)),
      "expected a trie in blocks of 1024 bytes, found one of 0",
    ],
    [
      "whose strings do not end",
      changed((bytes) => bytes.fill(1, bytes.length - 1)),
      "expected strings that end with a NUL",
    ],
    [
      "whose root leads away",
      changed((_, view) => view.setUint32(unit(0), 0xffff_fc00, true)),
      "expected offsets inside the trie",
    ],
    [
      "with a node that leads away",
      changed((_, view) => view.setUint32(unit(300), 0x7fff_fc00, true)),
      "expected offsets inside the trie",
    ],
  ])("is refused: one %s", (_, make, message) => {
    expect(make).toThrow(TokenizerError);
    expect(make).toThrow(message);
  });

  it("is refused: one with a value past the strings", () => {
    // the rule for "A" is the first: its value is in the block of node 1
    expect(changed((_, view) => view.setUint32(unit(512), 0x8000_ffff, true))).toThrow(
      "expected offsets inside the strings, found one of 65535",
    );
  });

  it("changed anywhere is refused or can be used, and ends", () => {
    fc.assert(
      fc.property(fc.nat(blob.length - 1), fc.nat(255), (at, byte) => {
        let map: CharacterMap;
        try {
          map = changed((bytes) => bytes.fill(byte, at, at + 1))();
        } catch (error) {
          expect(error).toBeInstanceOf(TokenizerError);
          return;
        }
        rewritten("AAB\u3000é\0\0\0 \u{1f600}", { characterMap: map });
      }),
      { numRuns: 1000 },
    );
  });
});

describe("a denormalizer", () => {
  const keep = { addDummyPrefix: false, removeExtraWhitespaces: false, escapeWhitespaces: false };
  const denormalizer = {
    ...keep,
    characterMap: writeCharacterMap({ a: "A", the: "THE", "e c": "E_C", at: "@" }),
  };
  const tokenizer = openTokenizer(smallModelBytes({ denormalizer }));

  it("rewrites decoded text, across pieces", () => {
    expect(tokenizer.decode(tokenizer.encode("the cat"))).toBe("THE c@");
    expect(tokenizer.decode(tokenizer.encode("me cat"))).toBe("mE_C@");
  });

  it("gives in parts what it gives at once, and holds back only what may be rewritten", () => {
    const ids = fc.array(fc.nat(tokenizer.vocabSize - 1), { maxLength: 30 });
    fc.assert(
      fc.property(ids, (ids) => {
        const decoder = tokenizer.decoder();
        const parts = [...ids.map((id) => decoder.push(id)), decoder.end()];
        expect(parts.join("")).toBe(tokenizer.decode(ids));
      }),
    );
    const decoder = tokenizer.decoder();
    expect([..."xa"].map((letter) => decoder.push(tokenizer.id(letter)!))).toEqual(["x", ""]);
    expect(decoder.push(tokenizer.id("d")!)).toBe("Ad");
  });

  it("that would change spaces is not supported", () => {
    expect(() =>
      openTokenizer(smallModelBytes({ denormalizer: { characterMap: denormalizer.characterMap } })),
    ).toThrow("denormalizer_spec: expected one that leaves spaces alone");
  });
});
