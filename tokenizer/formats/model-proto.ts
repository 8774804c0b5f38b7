import { CharacterMap } from "../character-map.js";
import { unsupported } from "../errors.js";
import { type Algorithm, defaultUnkSurface, type TokenizerModel } from "../model.js";
import { findPiece, PieceListBuilder, pieceType } from "../piece-list.js";
import { decodeUtf8 } from "../utf8.js";
import { ProtobufWalker, wire } from "./protobuf.js";

/** TrainerSpec.ModelType */
const algorithms: Record<number, Algorithm> = { 1: "unigram", 2: "bpe", 3: "word", 4: "char" };

/**
 * SentencePiece's own file, `tokenizer.model`: a ModelProto as sentencepiece_model.proto defines it. Fields are named
 * by their numbers there. By the rules of proto2 the last scalar wins, messages that come twice are merged, and what is
 * unknown (fields, values of enums) is passed over.
 */
export function readModelProto(
  bytes: Uint8Array,
  name: string,
  onWarning?: (message: string) => void,
): TokenizerModel {
  const pieces = new PieceListBuilder();
  const trainer = {
    algorithm: "unigram" as Algorithm,
    byteFallback: false,
    whitespaceAsSuffix: false,
    unkSurface: defaultUnkSurface,
    bosPiece: "<s>",
    eosPiece: "</s>",
  };
  const normalizer = {
    characterMap: new Uint8Array(0),
    addDummyPrefix: true,
    removeExtraWhitespaces: true,
    escapeWhitespaces: true,
  };
  const denormalizer = { ...normalizer };
  const selfTests: { input: Uint8Array; expected: Uint8Array }[] = [];

  const fields = new ProtobufWalker(bytes, name, "ModelProto").enter(0, bytes.length);
  const piece = new ProtobufWalker(bytes, name, "ModelProto.SentencePiece");
  const trainerSpec = new ProtobufWalker(bytes, name, "TrainerSpec");
  const normalizerSpec = new ProtobufWalker(bytes, name, "NormalizerSpec");
  const selfTest = new ProtobufWalker(bytes, name, "SelfTestData");
  const found = new Set<number>();
  for (;;) {
    fields.enter(skipUsualPieces(bytes, fields.at, pieces), bytes.length);
    if (!fields.next()) break;
    if (fields.type !== wire.bytes) continue;
    const { begin, end } = fields;
    found.add(fields.number);
    if (fields.number === 1) readPiece(piece.enter(begin, end), pieces);
    else if (fields.number === 2) readTrainerSpec(trainerSpec.enter(begin, end), trainer);
    else if (fields.number === 3) readNormalizerSpec(normalizerSpec.enter(begin, end), normalizer);
    else if (fields.number === 4) readSelfTests(selfTest.enter(begin, end), name, selfTests);
    else if (fields.number === 5) readNormalizerSpec(normalizerSpec.enter(begin, end), denormalizer);
  }

  const { addDummyPrefix, removeExtraWhitespaces, escapeWhitespaces } = denormalizer;
  const denormalizes = denormalizer.characterMap.length > 0;
  if (denormalizes && (addDummyPrefix || removeExtraWhitespaces || escapeWhitespaces)) {
    throw unsupported(
      name,
      "denormalizer_spec: expected one that leaves spaces alone, found one that does not, which is not supported",
    );
  }

  for (const [number, spec] of [
    [2, "trainer_spec"],
    [3, "normalizer_spec"],
  ] as const) {
    if (!found.has(number) && pieces.count > 0) {
      onWarning?.(
        `${name} has no ${spec}, which SentencePiece always writes: the file may have been cut short`,
      );
    }
  }

  const list = pieces.build(bytes.slice()); // a copy: the caller may write to the file's bytes again
  return {
    name,
    algorithm: trainer.algorithm,
    pieces: list,
    byteFallback: trainer.byteFallback,
    normalization: {
      prefix: "always",
      splitsWords: false,
      addDummyPrefix: normalizer.addDummyPrefix,
      removeExtraWhitespaces: normalizer.removeExtraWhitespaces,
      escapeWhitespaces: normalizer.escapeWhitespaces,
      whitespaceAsSuffix: trainer.whitespaceAsSuffix,
      characterMap:
        normalizer.characterMap.length > 0
          ? new CharacterMap(normalizer.characterMap, name, "normalizer_spec")
          : undefined,
    },
    denormalizationMap: denormalizes
      ? new CharacterMap(denormalizer.characterMap, name, "denormalizer_spec")
      : undefined,
    unkSurface: trainer.unkSurface,
    // by name, and only if control pieces: SentencePiece does not go by the ids that the file gives
    bos: findPiece(list, trainer.bosPiece, pieceType.control),
    eos: findPiece(list, trainer.eosPiece, pieceType.control),
    selfTests,
  };
}

/**
 * Adds the pieces from `at` on that are written in the usual way: text and score, no type, short. Gives where they
 * end. What this passes over `readPiece` would read alike; going byte by byte here makes a cold start 2.5 times shorter
 * (Llama 2's model, Node 20).
 *
 *   0A size 0A length text 15 score
 */
function skipUsualPieces(bytes: Uint8Array, at: number, pieces: PieceListBuilder): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (;;) {
    const size = bytes[at + 1]!;
    const length = size - 7; // two bytes before the text, five after it
    if (!(length >= 0 && size < 0x80 && at + 2 + size <= bytes.length)) return at;
    if (bytes[at] !== 0x0a || bytes[at + 2] !== 0x0a || bytes[at + 3] !== length) return at;
    const end = at + 4 + length;
    if (bytes[end] !== 0x15) return at;
    pieces.add(at + 4, end, view.getFloat32(end + 1, true), pieceType.normal);
    at = end + 5;
  }
}

function readPiece(field: ProtobufWalker, pieces: PieceListBuilder): void {
  let begin = 0;
  let end = 0;
  let score = 0;
  let type: number = pieceType.normal;
  while (field.next()) {
    if (field.number === 1 && field.type === wire.bytes) {
      begin = field.begin;
      end = field.end;
    } else if (field.number === 2 && field.type === wire.fixed32) score = field.float();
    else if (field.number === 3 && field.type === wire.varint) {
      if (field.value >= 1 && field.value <= 6) type = field.value;
    }
  }
  pieces.add(begin, end, score, type);
}

function readTrainerSpec(
  field: ProtobufWalker,
  trainer: {
    algorithm: Algorithm;
    byteFallback: boolean;
    whitespaceAsSuffix: boolean;
    unkSurface: string;
    bosPiece: string;
    eosPiece: string;
  },
): void {
  while (field.next()) {
    if (field.type === wire.varint) {
      if (field.number === 3) trainer.algorithm = algorithms[field.value] ?? trainer.algorithm;
      else if (field.number === 24) trainer.whitespaceAsSuffix = field.truth;
      else if (field.number === 35) trainer.byteFallback = field.truth;
    } else if (field.type === wire.bytes) {
      const text = () => decodeUtf8(field.bytes, field.begin, field.end);
      // a C string in SentencePiece: it ends at the first NUL
      if (field.number === 44) trainer.unkSurface = text().replace(/\0.*/s, "");
      else if (field.number === 46) trainer.bosPiece = text() || "<s>";
      else if (field.number === 47) trainer.eosPiece = text() || "</s>";
    }
  }
}

function readNormalizerSpec(
  field: ProtobufWalker,
  normalizer: {
    characterMap: Uint8Array;
    addDummyPrefix: boolean;
    removeExtraWhitespaces: boolean;
    escapeWhitespaces: boolean;
  },
): void {
  while (field.next()) {
    if (field.type === wire.varint) {
      if (field.number === 3) normalizer.addDummyPrefix = field.truth;
      else if (field.number === 4) normalizer.removeExtraWhitespaces = field.truth;
      else if (field.number === 5) normalizer.escapeWhitespaces = field.truth;
    } else if (field.number === 2 && field.type === wire.bytes) {
      normalizer.characterMap = field.bytes.subarray(field.begin, field.end);
    }
  }
}

function readSelfTests(
  field: ProtobufWalker,
  name: string,
  selfTests: { input: Uint8Array; expected: Uint8Array }[],
): void {
  const sample = new ProtobufWalker(field.bytes, name, "SelfTestData.Sample");
  while (field.next()) {
    if (field.number !== 1 || field.type !== wire.bytes) continue;
    sample.enter(field.begin, field.end);
    let input = field.bytes.subarray(0, 0);
    let expected = input;
    while (sample.next()) {
      if (sample.type !== wire.bytes) continue;
      if (sample.number === 1) input = field.bytes.slice(sample.begin, sample.end);
      else if (sample.number === 2) expected = field.bytes.slice(sample.begin, sample.end);
    }
    selfTests.push({ input, expected });
  }
}
