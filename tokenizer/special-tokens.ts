import type { Normalization, SpecialToken } from "./model.js";
import type { NormalizedText } from "./normalize.js";
import { Trie } from "./trie.js";
import { decodeUtf8, leadLength } from "./utf8.js";

/** A part of the text: a special token, or text between such. */
export interface TextPart {
  /** The special token's id, or -1 for text. */
  readonly id: number;
  readonly begin: number;
  readonly end: number;
  /** What text is once normalized. */
  readonly text?: NormalizedText;
}

const space = /^\p{White_Space}$/u;
const word = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u;

/** Finds special tokens in a text by their names: the leftmost, and of those the longest. */
export class SpecialTokens {
  readonly #trie = new Trie();
  readonly #begins = new Uint8Array(256);
  readonly #tokens: readonly SpecialToken[];

  /** @param names what each token is found by */
  constructor(tokens: readonly SpecialToken[], names: readonly Uint8Array[], vocabulary: string) {
    this.#tokens = tokens;
    names.forEach((name, i) => {
      this.#begins[name[0]!] = 1;
      this.#trie.add(name, 0, name.length, i, vocabulary);
    });
  }

  /** Cuts bytes [0, end) of a text into parts, none of them empty. */
  split(text: Uint8Array, end: number): TextPart[] {
    const parts: TextPart[] = [];
    let done = 0;
    for (let at = 0; at < end; ) {
      const [index, length] = this.#begins[text[at]!] === 0 ? [-1, 1] : this.#longest(text, at, end);
      const token = this.#tokens[index];
      const stop = at + length;
      if (!token || (token.singleWord && (isWord(before(text, at)) || isWord(after(text, stop, end))))) {
        at = stop;
        continue;
      }
      let begin = at;
      let close = stop;
      if (token.lstrip) {
        for (let c = before(text, begin); begin > done && space.test(c); c = before(text, begin)) {
          begin = back(text, begin);
        }
      }
      if (token.rstrip) {
        for (let c = after(text, close, end); space.test(c); c = after(text, close, end)) {
          close += leadLength(text[close]!);
        }
      }
      if (begin > done) parts.push({ id: -1, begin: done, end: begin });
      parts.push({ id: token.id, begin, end: close });
      done = close;
      at = close;
    }
    if (end > done) parts.push({ id: -1, begin: done, end });
    return parts;
  }

  /** The token at a place and its length; -1 and one byte where there is none. */
  #longest(text: Uint8Array, at: number, end: number): [index: number, length: number] {
    let found: [number, number] = [-1, 1];
    let node = this.#trie.root;
    for (let i = at; i < end; i++) {
      node = this.#trie.child(node, text[i]!);
      if (node < 0) break;
      if (this.#trie.values[node]! >= 0) found = [this.#trie.values[node]!, i + 1 - at];
    }
    return found;
  }
}

/** What finds special tokens in a text and, for those with the flag `normalized`, in what it is once normalized. */
export interface SpecialFinder {
  readonly inText: SpecialTokens | undefined;
  readonly inNormalized: SpecialTokens | undefined;
}

export function createSpecialFinder(
  tokens: readonly SpecialToken[],
  normalization: Normalization,
  normalize: (text: Uint8Array) => NormalizedText,
  vocabulary: string,
): SpecialFinder {
  // Where spaces are not the normalizer's business there is nothing that a name could be normalized to.
  const isNormalized = (token: SpecialToken) => token.normalized && normalization.prefix === "always";
  const nameOf = ({ bytes, length }: NormalizedText) => bytes.subarray(0, length);
  const find = (some: readonly SpecialToken[], name: (content: Uint8Array) => Uint8Array) =>
    some.length === 0
      ? undefined
      : new SpecialTokens(
          some,
          some.map(({ content }) => name(content)),
          vocabulary,
        );
  return {
    inText: find(
      tokens.filter((token) => !isNormalized(token)),
      (content) => content,
    ),
    inNormalized: find(tokens.filter(isNormalized), (content) => nameOf(normalize(content))),
  };
}

/** The same rules, but that no space is put in front. */
export function withoutPrefix(normalization: Normalization): Normalization {
  const isPrefix = normalization.addDummyPrefix && !normalization.whitespaceAsSuffix;
  return isPrefix ? { ...normalization, addDummyPrefix: false } : normalization;
}

/** Cuts a text by special tokens and normalizes what is between them, by the rules for a part that begins at a byte. */
export function splitAndNormalize(
  input: Uint8Array,
  { inText, inNormalized }: SpecialFinder,
  rulesAt: (begin: number) => Normalization,
  normalize: (part: Uint8Array, normalization: Normalization) => NormalizedText,
): TextPart[] {
  const parts = inText ? inText.split(input, input.length) : [{ id: -1, begin: 0, end: input.length }];
  return parts.flatMap((part): TextPart[] => {
    if (part.id >= 0) return [part];
    const rules = rulesAt(part.begin);
    const bare = part.begin > 0 && rules.prefix === "start, unless spaced";
    const text = normalize(input.subarray(part.begin, part.end), bare ? withoutPrefix(rules) : rules);
    if (!inNormalized) return [{ ...part, text }];
    return inNormalized.split(text.bytes, text.length).map(({ id, begin, end }) => {
      const place = (at: number) => part.begin + (text.origins?.[at] ?? 0);
      if (id >= 0) return { id, begin: place(begin), end: place(end) };
      const bytes = text.bytes.subarray(begin, end);
      const origins = text.origins?.subarray(begin, end + 1);
      return { ...part, text: { bytes, length: end - begin, origins } };
    });
  });
}

/** @throws RangeError for a name that is no special token's */
export function chooseSpecials(
  specials: readonly SpecialToken[],
  names: readonly string[],
  vocabulary: string,
): readonly SpecialToken[] {
  return names.map((name) => {
    const found = specials.find(({ content }) => decodeUtf8(content, 0, content.length) === name);
    if (found) return found;
    throw new RangeError(`Cannot encode with ${vocabulary}: expected special tokens, found "${name}"`);
  });
}

function back(text: Uint8Array, at: number): number {
  let begin = at - 1;
  while (begin > 0 && (text[begin]! & 0xc0) === 0x80) begin--;
  return begin;
}

function before(text: Uint8Array, at: number): string {
  return at === 0 ? "" : decodeUtf8(text, back(text, at), at);
}

function after(text: Uint8Array, at: number, end: number): string {
  return at >= end ? "" : decodeUtf8(text, at, Math.min(end, at + leadLength(text[at]!)));
}

function isWord(character: string): boolean {
  return word.test(character);
}
