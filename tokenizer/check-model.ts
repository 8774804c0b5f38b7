import { cannotOpen } from "./errors.js";
import type { TokenizerModel } from "./model.js";
import { byteOfPiece, idsOfType, pieceText, pieceType } from "./piece-list.js";

/** More pieces than any vocabulary has, by a factor of ten, and few enough to be ordered in a float64 with a position. */
const maxPieces = 1 << 22;

/**
 * Refuses what makes no tokenizer: the errors of SentencePiece 0.1.97 and 0.2.2 at load, except that a NUL inside a
 * piece is taken (real models have it) and that a NaN score is refused for every algorithm (0.2.2: unigram's only),
 * since nothing can be put in order by it. What is wrong with pieces one by one (empty, too long, there twice) is found
 * when PieceTable is made.
 *
 * @throws TokenizerError
 */
export function checkModel({ name, algorithm, pieces, byteFallback, bos, eos }: TokenizerModel): void {
  // indexOf and includes search natively: a loop over 32,000 pieces takes 10 ms the first time it runs
  const { count, scores } = pieces;
  if (count === 0) throw cannotOpen(name, "expected pieces, found none");
  if (count > maxPieces) throw cannotOpen(name, `expected at most ${maxPieces} pieces, found ${count}`);

  // BPE only compares scores, so that infinite ones do no harm; unigram adds them
  const wrongScores = algorithm === "unigram" ? [Number.NaN, Infinity, -Infinity] : [Number.NaN];
  if (wrongScores.some((score) => scores.includes(score))) {
    const id = scores.findIndex((score) => wrongScores.includes(score));
    throw cannotOpen(name, `score of piece ${id}: expected a number, found ${scores[id]}`);
  }

  const unknown = idsOfType(pieces, pieceType.unknown);
  if (unknown.length === 0) {
    throw cannotOpen(name, "unk is not defined: expected one piece of type unknown, found none");
  }
  if (unknown.length > 1) {
    throw cannotOpen(name, `piece ${unknown[1]}: unk is already defined, as piece ${unknown[0]}`);
  }

  const byteIds = idsOfType(pieces, pieceType.byte);
  const wrongByte = byteIds.find((id) => !byteFallback || byteOfPiece(pieces, id) < 0);
  if (wrongByte !== undefined) {
    const expected = byteFallback
      ? "a byte piece from <0x00> to <0xFF>"
      : "no byte pieces without byte_fallback";
    const found = pieceText(pieces, wrongByte).slice(0, 40);
    throw cannotOpen(name, `piece ${wrongByte}: expected ${expected}, found "${found}"`);
  }
  const bytes = new Set(byteIds.map((id) => byteOfPiece(pieces, id)));
  if (byteFallback && bytes.size < 256)
    throw cannotOpen(name, `expected 256 byte pieces, found ${bytes.size}`);

  if (algorithm === "unigram" && !pieces.types.includes(pieceType.normal)) {
    throw cannotOpen(name, "expected normal pieces, found none");
  }
  for (const [field, id] of Object.entries({ bos, eos })) {
    if (id !== undefined && !(Number.isInteger(id) && id >= 0 && id < count)) {
      throw cannotOpen(name, `${field}: expected an id from 0 to ${count - 1}, found ${id}`);
    }
  }
}
