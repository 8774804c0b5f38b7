/**
 * A vocabulary that cannot be used: its bytes are not what its format says, or it contradicts itself. The message says
 * which file, which piece or field, what was expected and what was found.
 */
export class TokenizerError extends Error {
  override name = "TokenizerError";
}

/**
 * A sound vocabulary of a kind that this version does not handle exactly; the message names what. It is refused rather
 * than approximated: a model fed slightly wrong ids writes slightly wrong text, and nobody sees why.
 */
export class UnsupportedTokenizerError extends TokenizerError {
  override name = "UnsupportedTokenizerError";
}

/** The error for something found wrong in a vocabulary, whose name stands in the message. */
export function cannotOpen(name: string, detail: string): TokenizerError {
  return new TokenizerError(`Cannot open ${name}: ${detail}`);
}

/** The error for something that is sound and not handled. */
export function unsupported(name: string, detail: string): UnsupportedTokenizerError {
  return new UnsupportedTokenizerError(`Cannot open ${name}: ${detail}`);
}
