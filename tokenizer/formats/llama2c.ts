import { ByteList } from "../byte-list.js";
import { cannotOpen } from "../errors.js";
import { defaultUnkSurface, plainNormalization, type TokenizerModel } from "../model.js";
import { findPiece, PieceListBuilder, pieceType } from "../piece-list.js";
import { decodeUtf8, spaceMark } from "../utf8.js";
import { ByteReader } from "./byte-reader.js";

/** run.c's convention, which the file does not state: unk, bos, eos, then a piece for each byte. */
const unk = 0;
const bos = 1;
const eos = 2;
const firstByte = 3;
const firstNormal = firstByte + 256;

const space = 0x20;
const newline = 0x0a;

/** The header's longest piece; no file in use comes near, and checkModel sets the limit for the pieces themselves. */
const maxDeclaredBytes = 1 << 16;

/**
 * Whether the bytes look like llama2.c's tokenizer.bin: a longest length, then a piece not longer than that. No
 * ModelProto does, since its third or fourth byte would have to be a field 0.
 */
export function isLlama2c(bytes: Uint8Array): boolean {
  if (bytes.length < 12) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const longest = view.getUint32(0, true);
  return longest > 0 && longest <= maxDeclaredBytes && view.getUint32(8, true) <= longest;
}

/**
 * llama2.c's tokenizer.bin:
 *
 *   max_token_length  u32
 *   per piece         score f32, length u32, bytes
 *
 * to the end of the file. Spaces are written as spaces instead of U+2581, bos and eos as "\n<s>\n" and "\n</s>\n": here
 * they become again what they were in the SentencePiece model. An older form writes the piece of
 * byte 0xHH as the character U+00HH.
 */
export function readLlama2c(bytes: Uint8Array, name: string): TokenizerModel {
  const reader = new ByteReader(bytes, name);
  const longest = reader.u32("max_token_length");
  const restored = new ByteList(bytes.length);
  const pieces = new PieceListBuilder();
  while (!reader.atEnd) {
    const id = pieces.count;
    const score = reader.f32("score of a piece");
    const length = reader.u32("length of a piece");
    if (length > longest) {
      throw reader.bad(`piece ${id}`, `at most ${longest} bytes (max_token_length)`, String(length));
    }
    const start = reader.skip(length, "a piece");
    const restoredStart = restored.length;
    restore(bytes, start, start + length, id, restored);
    pieces.add(restoredStart, restored.length, score, typeOf(id));
  }
  if (pieces.count < firstNormal) {
    throw cannotOpen(
      name,
      `expected unk, bos, eos and 256 byte pieces as in llama2.c's tokenizer.bin, found ${pieces.count} pieces`,
    );
  }

  const list = pieces.build(restored.bytes);
  // Ids 1 and 2 are bos and eos by position; if another name stands there, this is the file of another convention.
  if (
    findPiece(list, "<s>", pieceType.control) !== bos ||
    findPiece(list, "</s>", pieceType.control) !== eos
  ) {
    throw cannotOpen(name, `expected <s> as piece ${bos} and </s> as piece ${eos}, as llama2.c writes them`);
  }
  return {
    name,
    algorithm: "bpe",
    pieces: list,
    byteFallback: true,
    normalization: plainNormalization,
    denormalizationMap: undefined,
    unkSurface: defaultUnkSurface,
    bos,
    eos,
    selfTests: [],
  };
}

function typeOf(id: number): number {
  if (id === unk) return pieceType.unknown;
  if (id === bos || id === eos) return pieceType.control;
  return id < firstNormal ? pieceType.byte : pieceType.normal;
}

/** Adds the piece in bytes [begin, end) to `out` as it was in the SentencePiece model. */
function restore(bytes: Uint8Array, begin: number, end: number, id: number, out: ByteList): void {
  if (id === bos || id === eos) {
    const first = begin < end && bytes[begin] === newline ? begin + 1 : begin;
    const last = first < end && bytes[end - 1] === newline ? end - 1 : end;
    out.append(bytes, first, last);
  } else if (
    typeOf(id) === pieceType.byte &&
    decodeUtf8(bytes, begin, end) === String.fromCharCode(id - firstByte)
  ) {
    out.appendText(`<0x${(id - firstByte).toString(16).toUpperCase().padStart(2, "0")}>`);
  } else {
    for (let at = begin; at < end; at++) {
      if (bytes[at] === space) out.append(spaceMark, 0, spaceMark.length);
      else out.push(bytes[at]!);
    }
  }
}
