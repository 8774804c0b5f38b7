import type { CharacterMap } from "./character-map.js";
import type { PieceDecoder } from "./decode.js";
import type { StreamDecoder } from "./tokenizer.js";
import { decodeUtf8, encodeUtf8, leadLength } from "./utf8.js";

/**
 * A decoder whose text is rewritten by a model's denormalizer. It holds text back for as long as a longer rule may
 * still match, so that what it gives does not depend on how the text came in.
 */
export class DenormalizingDecoder implements StreamDecoder {
  readonly #decoder: PieceDecoder;
  readonly #map: CharacterMap;
  #held = "";

  constructor(decoder: PieceDecoder, map: CharacterMap) {
    this.#decoder = decoder;
    this.#map = map;
  }

  push(id: number): string {
    this.#held += this.#decoder.push(id);
    return this.#rewrite(false);
  }

  pushText(text: string): string {
    this.#held += this.#decoder.pushText(text);
    return this.#rewrite(false);
  }

  end(): string {
    this.#held += this.#decoder.end();
    return this.#rewrite(true);
  }

  #rewrite(all: boolean): string {
    if (this.#held === "") return "";
    const bytes = encodeUtf8(this.#held);
    let text = "";
    let at = 0;
    while (at < bytes.length) {
      const length = this.#map.match(bytes, at, bytes.length);
      if (this.#map.isOpen && !all) break;
      if (length > 0) {
        text += decodeUtf8(this.#map.strings, this.#map.begin, this.#map.end);
        at += length;
      } else {
        const end = at + leadLength(bytes[at]!);
        text += decodeUtf8(bytes, at, end);
        at = end;
      }
    }
    this.#held = decodeUtf8(bytes, at, bytes.length);
    return text;
  }
}
