import { ByteList } from "../byte-list.js";
import { cannotOpen, unsupported } from "../errors.js";
import type { SpecialToken, TokenizerModel } from "../model.js";
import { PieceListBuilder, pieceType } from "../piece-list.js";
import { encodeUtf8 } from "../utf8.js";
import { isObject, type Json } from "./json.js";
import { readMerges } from "./json-merges.js";
import { readSpaces } from "./json-spaces.js";

/** Ids that may be missing from a file's numbering: none are, but an array must not grow by a file's say-so. */
const maxPieces = 1 << 22;

/**
 * Hugging Face's tokenizer.json, of the kind that Llama 2's is: BPE with merges, spaces written as U+2581 by
 * `normalizer` or by a Metaspace pre-tokenizer, byte fallback, added tokens. What is anything else is refused by name:
 * the file is a program of many possible steps, and one that is passed over makes other ids.
 */
export function readTokenizerJson(bytes: Uint8Array, name: string): TokenizerModel {
  const file = parse(bytes, name);
  const refuse = (field: string, expected: string, found: unknown) =>
    unsupported(name, `${field}: expected ${expected}, found ${shown(found)}, which is not supported`);
  for (const field of ["truncation", "padding"]) {
    if (file[field]) throw refuse(field, "none", file[field]);
  }
  const model = isObject(file.model) ? file.model : undefined;
  if (!model || !isObject(model.vocab)) throw refuse("model", "a BPE model with a vocab", file.model);
  // older files do not name the type; only BPE has merges
  if ((model.type ?? "BPE") !== "BPE" || !Array.isArray(model.merges)) {
    throw refuse("model", "BPE with merges", model.type);
  }
  for (const field of ["dropout", "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges"]) {
    if (model[field]) throw refuse(`model.${field}`, "none", model[field]);
  }
  const byteFallback = model.byte_fallback === true;
  if (!byteFallback && model.fuse_unk !== true) {
    throw refuse("model", "byte_fallback or fuse_unk", "neither");
  }
  if (typeof model.unk_token !== "string") throw refuse("model.unk_token", "a piece", model.unk_token);

  const added = readAddedTokens(file.added_tokens, name);
  const pieces = readPieces(model.vocab, added, name);
  const unk = pieces.ids.get(model.unk_token);
  if (unk === undefined)
    throw cannotOpen(name, `model.unk_token: expected a piece, found ${model.unk_token}`);

  const list = pieces.build((text, id) => {
    if (id === unk) return pieceType.unknown;
    const token = added.get(id);
    if (token) return token.special ? pieceType.control : pieceType.normal;
    return byteFallback && /^<0x[0-9A-F]{2}>$/.test(text) ? pieceType.byte : pieceType.normal;
  });
  const control = (text: string) => {
    const id = pieces.ids.get(text);
    return id !== undefined && list.types[id] === pieceType.control ? id : undefined;
  };
  const { normalization, stripsSpace } = readSpaces(file, refuse);
  if (stripsSpace !== normalization.addDummyPrefix) {
    throw refuse("decoder", "one that drops the space in front if one is put there", file.decoder);
  }
  return {
    name,
    algorithm: "bpe",
    pieces: list,
    merges: readMerges(model.merges, pieces.ids, list, name),
    byteFallback,
    normalization,
    denormalizationMap: undefined,
    unkSurface: added.get(unk)?.special ? "" : model.unk_token,
    bos: control(templateToken(file.post_processor, "first") ?? "<s>"),
    eos: control(templateToken(file.post_processor, "last") ?? "</s>"),
    specials: [...added.values()],
    selfTests: [],
  };
}

function parse(bytes: Uint8Array, name: string): Json {
  let file: unknown;
  try {
    file = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw cannotOpen(name, `expected JSON in UTF-8, found something else (${(error as Error).message})`);
  }
  if (!isObject(file)) throw cannotOpen(name, `expected a JSON object, found ${shown(file)}`);
  return file;
}

function readAddedTokens(
  tokens: unknown,
  name: string,
): Map<number, SpecialToken & { readonly special: boolean }> {
  const added = new Map<number, SpecialToken & { readonly special: boolean }>();
  if (tokens === undefined || tokens === null) return added;
  if (!Array.isArray(tokens)) throw cannotOpen(name, `added_tokens: expected a list, found ${shown(tokens)}`);
  for (const token of tokens as unknown[]) {
    if (!isObject(token) || typeof token.content !== "string" || !isId(token.id) || token.content === "") {
      throw cannotOpen(name, `added_tokens: expected tokens with id and content, found ${shown(token)}`);
    }
    added.set(token.id, {
      id: token.id,
      content: encodeUtf8(token.content),
      lstrip: token.lstrip === true,
      rstrip: token.rstrip === true,
      singleWord: token.single_word === true,
      normalized: token.normalized === true,
      special: token.special === true,
    });
  }
  return added;
}

/** The pieces of the vocabulary and the added tokens, which may be in it already, in the order of their ids. */
function readPieces(vocab: Json, added: ReadonlyMap<number, SpecialToken>, name: string) {
  const ids = new Map<string, number>();
  const texts: string[] = [];
  const add = (text: string, id: unknown) => {
    if (!isId(id)) throw cannotOpen(name, `model.vocab: expected ids, found ${shown(id)} for "${text}"`);
    const other = texts[id];
    if ((other !== undefined && other !== text) || (ids.get(text) ?? id) !== id) {
      throw cannotOpen(
        name,
        `piece ${id}: expected one piece for an id, found "${other}" and "${text}", or one twice`,
      );
    }
    ids.set(text, id);
    texts[id] = text;
  };
  for (const text in vocab) add(text, vocab[text]);
  for (const { id, content } of added.values()) add(new TextDecoder().decode(content), id);
  if (texts.length !== ids.size) {
    throw unsupported(
      name,
      `expected ids without gaps, found ${ids.size} pieces up to id ${texts.length - 1}`,
    );
  }
  return {
    ids,
    build(typeOf: (text: string, id: number) => number) {
      const bytes = new ByteList(16 * texts.length);
      const list = new PieceListBuilder();
      texts.forEach((text, id) => {
        const start = bytes.length;
        bytes.appendText(text);
        list.add(start, bytes.length, 0, typeOf(text, id));
      });
      return list.build(bytes.bytes);
    },
  };
}

/** The token that the post-processor puts first or last. */
function templateToken(processor: unknown, where: "first" | "last"): string | undefined {
  if (!isObject(processor) || !Array.isArray(processor.single)) return undefined;
  const item = processor.single.at(where === "first" ? 0 : -1) as Json | undefined;
  const token = isObject(item) && isObject(item.SpecialToken) ? item.SpecialToken.id : undefined;
  return typeof token === "string" ? token : undefined;
}

function isId(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < maxPieces;
}

function shown(value: unknown): string {
  return (typeof value === "string" ? value : (JSON.stringify(value) ?? "none")).slice(0, 80);
}
