import { ByteList } from "./byte-list.js";
import type { Normalization } from "./model.js";
import type { UserDefined } from "./user-defined.js";
import { replacement, spaceMark, validLength } from "./utf8.js";

const space = 0x20;
const plainSpace = Uint8Array.of(space);

/** A text as it is cut into pieces. */
export interface NormalizedText {
  readonly bytes: Uint8Array;
  readonly length: number;
  /**
   * Where each byte comes from: the place in the input that it was made of, for byte `length` the place where the text
   * ended. Undefined unless asked for.
   */
  readonly origins: Int32Array | undefined;
}

/** What a place in the input becomes: bytes [begin, end) of `bytes`, for `length` bytes of the input. */
interface Step {
  bytes: Uint8Array;
  begin: number;
  end: number;
  length: number;
}

/**
 * The text as it is cut into pieces: rewritten by the character map, malformed bytes replaced, spaces escaped, trimmed
 * and added as the model says. User-defined symbols are not rewritten, but spaces in them are escaped too.
 *
 * SentencePiece's Normalizer.
 */
export function normalize(
  input: Uint8Array,
  options: Normalization,
  userDefined: UserDefined | undefined,
  withOrigins = false,
): NormalizedText {
  const { removeExtraWhitespaces, characterMap } = options;
  const mark = options.escapeWhitespaces ? spaceMark : plainSpace;
  const isPlain = !userDefined && !characterMap;
  const step: Step = { bytes: input, begin: 0, end: 0, length: 0 };
  const stop = input.length;
  let at = 0;

  if (removeExtraWhitespaces) {
    for (; at < stop; at += step.length) {
      readStep(input, at, options, userDefined, step);
      if (step.end - step.begin !== 1 || step.bytes[step.begin] !== space) break;
    }
  }
  // Nothing but spaces, or nothing at all, becomes nothing: not even the prefix is added.
  if (at === stop) return { bytes: input, length: 0, origins: withOrigins ? Int32Array.of(at) : undefined };

  const out = new ByteList(stop + (stop >> 1) + 16);
  const origins = withOrigins ? new OriginList() : undefined;
  if (
    options.addDummyPrefix &&
    !options.whitespaceAsSuffix &&
    !(options.prefix !== "always" && isSpaced(input))
  ) {
    out.append(mark, 0, mark.length);
  }
  origins?.fill(out.length, at);

  let afterSpace = removeExtraWhitespaces;
  while (at < stop) {
    const byte = input[at]!;
    if (isPlain && byte < 0x80 && byte !== space) {
      out.push(byte);
      origins?.fill(out.length, at);
      at++;
      afterSpace = false;
      continue;
    }
    readStep(input, at, options, userDefined, step);
    const from = at;
    at += step.length;
    const { bytes, end } = step;
    let i = step.begin;
    if (afterSpace) while (i < end && bytes[i] === space) i++;
    if (i === end) continue; // nothing left of it: what comes next is still after a space
    for (; i < end; i++) {
      if (bytes[i] === space) out.append(mark, 0, mark.length);
      else out.push(bytes[i]!);
    }
    origins?.fill(out.length, from);
    afterSpace = removeExtraWhitespaces && bytes[end - 1] === space;
  }

  if (removeExtraWhitespaces) {
    // This drops a literal U+2581 at the end as well, and the prefix where nothing is left: so does SentencePiece.
    while (endsWith(out, mark)) {
      out.length -= mark.length;
      at = origins?.cut(out.length) ?? at;
    }
  }
  if (options.addDummyPrefix && options.whitespaceAsSuffix) out.append(mark, 0, mark.length);
  origins?.fill(out.length + 1, at);
  return { bytes: out.bytes, length: out.length, origins: origins?.places };
}

/** The origins of the bytes written so far. */
class OriginList {
  places = new Int32Array(256);
  #length = 0;

  /** All bytes from the last call's to `length` come from `place`. */
  fill(length: number, place: number): void {
    if (length > this.places.length) {
      const larger = new Int32Array(2 * length);
      larger.set(this.places);
      this.places = larger;
    }
    this.places.fill(place, this.#length, length);
    this.#length = length;
  }

  /** Drops all bytes from `length` on; gives the origin of the first of them. */
  cut(length: number): number {
    this.#length = length;
    return this.places[length]!;
  }
}

/** The longest user-defined symbol, else the longest rule, else a valid character, else a byte that is none. */
function readStep(
  input: Uint8Array,
  at: number,
  { characterMap, keepsMalformed }: Normalization,
  userDefined: UserDefined | undefined,
  step: Step,
): void {
  let length = userDefined ? userDefined.longest(input, at, input.length) : 0;
  if (length === 0 && characterMap) {
    length = characterMap.match(input, at, input.length);
    if (length > 0) {
      step.bytes = characterMap.strings;
      step.begin = characterMap.begin;
      step.end = characterMap.end;
      step.length = length;
      return;
    }
  }
  if (length === 0) length = validLength(input, at, input.length);
  if (length === 0 && keepsMalformed) length = 1;
  if (length === 0) {
    step.bytes = replacement;
    step.begin = 0;
    step.end = replacement.length;
    step.length = 1;
    return;
  }
  step.bytes = input;
  step.begin = at;
  step.end = at + length;
  step.length = length;
}

/** Whether a text begins with a space, be it written as U+2581. */
function isSpaced(text: Uint8Array): boolean {
  return text[0] === space || spaceMark.every((byte, i) => text[i] === byte);
}

function endsWith(list: ByteList, mark: Uint8Array): boolean {
  const start = list.length - mark.length;
  return start >= 0 && mark.every((byte, i) => list.bytes[start + i] === byte);
}
