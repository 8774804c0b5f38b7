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

/** The same as llama2.c's tokenizer.bin, as its export writes it: spaces for U+2581, newlines around bos and eos. */
export function smallTokenizerBin({ legacy = false } = {}): Uint8Array {
  const encoder = new TextEncoder();
  const pieces = smallModel.pieces.map(({ piece, score = 0 }, id) => {
    let text = (piece as string).replaceAll("▁", " ");
    if (id === 1 || id === 2) text = `\n${text}\n`;
    if (legacy && id >= 3 && id < 259) text = String.fromCharCode(id - 3);
    return { bytes: encoder.encode(text), score };
  });
  const size = 4 + pieces.reduce((sum, { bytes }) => sum + 8 + bytes.length, 0);
  const file = new Uint8Array(size);
  const view = new DataView(file.buffer);
  view.setUint32(0, Math.max(...pieces.map(({ bytes }) => bytes.length)), true);
  let at = 4;
  for (const { bytes, score } of pieces) {
    view.setFloat32(at, score, true);
    view.setUint32(at + 4, bytes.length, true);
    file.set(bytes, at + 8);
    at += 8 + bytes.length;
  }
  return file;
}
