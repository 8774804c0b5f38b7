/** UTF-8 as SentencePiece reads it: see `validLength` for what is valid, `leadLength` for where characters are cut. */

const lenient = new TextDecoder("utf-8", { ignoreBOM: true });
const strict = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });
const encoder = new TextEncoder();

/** U+FFFD in UTF-8, which stands for a malformed byte. */
export const replacement = Uint8Array.of(0xef, 0xbf, 0xbd);

/** U+2581 (▁) in UTF-8, which stands for a space inside pieces. */
export const spaceMark = Uint8Array.of(0xe2, 0x96, 0x81);

/** A string's UTF-8; lone surrogates become U+FFFD. */
export function encodeUtf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Writes a string's UTF-8 to the beginning of `out`, which has room for it; gives its length. */
export function encodeUtf8Into(text: string, out: Uint8Array): number {
  return encoder.encodeInto(text, out).written;
}

/**
 * Bytes of the character that begins with this byte, judged by it alone. Text is cut so once it is normalized, and
 * pieces are, so that both are cut alike even where a piece is not valid UTF-8.
 */
export function leadLength(byte: number): number {
  return byte < 0xc0 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

/**
 * Bytes of the valid UTF-8 character at `at`, or 0 where there is none: neither overlong forms nor surrogates nor
 * anything past U+10FFFF is valid.
 */
export function validLength(bytes: Uint8Array, at: number, end: number): number {
  const lead = bytes[at]!;
  if (lead < 0x80) return 1;
  const length = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (length === 0 || at + length > end) return 0;
  return isTrail(lead, bytes[at + 1]!) &&
    (length < 3 || (bytes[at + 2]! & 0xc0) === 0x80) &&
    (length < 4 || (bytes[at + 3]! & 0xc0) === 0x80)
    ? length
    : 0;
}

/** Whether the bytes from `at` are the beginning of some valid character that goes on past `end`. */
export function isUnfinished(bytes: Uint8Array, at: number, end: number): boolean {
  const lead = bytes[at]!;
  if (lead < 0xc2 || lead > 0xf4 || end - at >= leadLength(lead)) return false;
  return (
    (end - at < 2 || isTrail(lead, bytes[at + 1]!)) && (end - at < 3 || (bytes[at + 2]! & 0xc0) === 0x80)
  );
}

/** Whether a byte may follow a lead byte of a character: a few leads take only a part of the trail bytes. */
function isTrail(lead: number, byte: number): boolean {
  const first = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const last = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  return byte >= first && byte <= last;
}

/** The text of bytes [begin, end); each byte that belongs to no valid character becomes one U+FFFD. */
export function decodeUtf8(bytes: Uint8Array, begin: number, end: number): string {
  const part = bytes.subarray(begin, end);
  try {
    return strict.decode(part);
  } catch {
    // TextDecoder counts malformed bytes in another way: it gives one U+FFFD for a character cut short
    let text = "";
    for (let at = begin; at < end; ) {
      const length = validLength(bytes, at, end);
      text += length === 0 ? "\ufffd" : lenient.decode(bytes.subarray(at, at + length));
      at += length || 1;
    }
    return text;
  }
}
