import { readFileSync } from "node:fs";
import { sharedData } from "./shared-data.js";

/**
 * The answers of SentencePiece 0.1.97 in `../shared/data/tokenizers/gold`: for a model, the ids of 3,617 nasty texts
 * and the texts that come back, and random lists of ids with their texts. Tests that use it are skipped without it.
 */
export const goldFolder = sharedData("tokenizers/gold");

/** One nasty text: bytes, since many of them are not valid UTF-8. */
export interface GoldEncoding {
  readonly name: string;
  readonly text: Uint8Array;
  readonly ids: readonly number[];
  /** Where each piece begins and ends in the text, in bytes. */
  readonly offsets: readonly number[];
  /** What the ids decode to. */
  readonly decoded: string;
}

/** Ids, some of them out of range, and their text; undefined where decoding is an error. */
export interface GoldDecoding {
  readonly ids: readonly number[];
  readonly text: string | undefined;
}

export function goldModel(name: string): Uint8Array {
  const path = name === "llama2" ? "tokenizers/llama2/tokenizer.model" : `tokenizers/gold/${name}.model`;
  return readFileSync(sharedData(path)!);
}

/** Where SentencePiece 0.2.2 gives other ids for a text than 0.1.97. */
export function goldTies(): {
  readonly model: string;
  readonly name: string;
  readonly ids: readonly number[];
}[] {
  return lines<{ m: string; n: string; ids: number[] }>("ties-0.2.2").map(({ m, n, ids }) => ({
    model: m,
    name: n,
    ids,
  }));
}

/** The best encodings of a text, `n` of them asked for; undefined where the model has no such thing. */
export function goldNBest(): {
  readonly m: string;
  readonly t: string;
  readonly n: number;
  readonly nbest?: readonly (readonly number[])[];
}[] {
  return lines("nbest");
}

/** Texts encoded with SentencePiece's extra options: id, begin and end in bytes, piece. */
export function goldExtra(): {
  readonly m: string;
  readonly opt?: string;
  readonly out?: readonly {
    readonly t: string;
    readonly pieces: readonly (readonly [id: number, begin: number, end: number, piece: string])[];
  }[];
}[] {
  return lines("extra");
}

export function goldEncodings(model: string): GoldEncoding[] {
  const texts = new Map(lines<{ n: string; b: string }>("nasty").map(({ n, b }) => [n, fromBase64(b)]));
  return lines<{ n: string; ids: number[]; off: number[]; dec: string }>(model).map(
    ({ n, ids, off, dec }) => ({
      name: n,
      text: texts.get(n)!,
      ids,
      offsets: off,
      decoded: fromBase64(dec).toString(),
    }),
  );
}

export function goldDecodings(model: string): GoldDecoding[] {
  return lines<{ ids: number[]; out?: string }>(`${model}.decode`).map(({ ids, out }) => ({
    ids,
    text: out === undefined ? undefined : fromBase64(out).toString(),
  }));
}

function lines<T>(file: string): T[] {
  const text = readFileSync(`${goldFolder}/${file}.jsonl`, "utf8");
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as T);
}

function fromBase64(text: string): Buffer {
  return Buffer.from(text, "base64");
}
