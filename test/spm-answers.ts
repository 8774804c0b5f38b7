import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

/** A small model and what SentencePiece 0.1.97 answers to texts with it; made by bench/peers/make-answers.mjs. */
export interface SpmAnswers {
  readonly name: string;
  /** A ModelProto as spm_train wrote it, but for the types of unused pieces. */
  readonly bytes: Uint8Array;
  /** The pieces that encoding is restricted to (SetVocabulary). */
  readonly vocabulary: readonly string[] | undefined;
  readonly texts: readonly SpmAnswer[];
}

export interface SpmAnswer {
  readonly text: string;
  readonly ids: readonly number[];
  /** Begin and end of each piece, in characters. */
  readonly offsets: readonly number[];
  readonly normalized: string;
  /** The text of the ids. */
  readonly decoded: string;
}

export function readSpmAnswers(): SpmAnswers[] {
  const file = gunzipSync(readFileSync(new URL("spm-answers.jsonl.gz", import.meta.url)));
  const models: (SpmAnswers & { texts: SpmAnswer[] })[] = [];
  for (const line of file.toString().trim().split("\n")) {
    const { name, bytes, vocabulary, ...answer } = JSON.parse(line);
    if (name === undefined) models.at(-1)!.texts.push(answer as SpmAnswer);
    else models.push({ name, bytes: Buffer.from(bytes, "base64"), vocabulary, texts: [] });
  }
  return models;
}
