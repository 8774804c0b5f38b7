import { bytePieces, type ModelDescription, specialPieces, writeModelProto } from "./model-proto-writer.js";

/**
 * A BPE model in the manner of Llama 2's, with 300 pieces: bytes, letters, a few words, Japanese and emoji characters.
 * Ids 0 to 2 are unk, bos and eos, 3 to 258 the bytes.
 */
export const smallModel: ModelDescription = {
  pieces: [
    ...specialPieces,
    ...bytePieces,
    ..."▁t he ▁the ▁a nd ▁and in ▁s ▁▁ on er ▁c at ▁cat ▁sat ▁on ▁m ▁mat ▁o n ce ▁once ▁up ▁upon ▁time"
      .split(" ")
      .filter((piece, i, all) => piece.length > 1 && all.indexOf(piece) === i)
      .map((piece, i) => ({ piece, score: -i })),
    ...[..."▁etaoinshrdlucmfwypvbgkjxqz.,"].map((piece, i) => ({ piece, score: -100 - i })),
    ...[..."日本é\u{1f600}"].map((piece, i) => ({ piece, score: -200 - i })),
  ],
  trainer: { modelType: 2, byteFallback: true },
  normalizer: { addDummyPrefix: true, removeExtraWhitespaces: false, escapeWhitespaces: true },
};

export function smallModelBytes(changes: Partial<ModelDescription> = {}): Uint8Array {
  return writeModelProto({ ...smallModel, ...changes });
}
