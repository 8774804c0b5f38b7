// Telling what came from a message from what came from a template, when all that the template gives is one text. Characters of
// messages are put in as stand-ins of Unicode's private use plane 15, one for each character that occurs, so that no control
// token's name can be made of them; spaces stay, for templates trim. Afterwards the stand-ins are turned back.

const firstStandIn = 0xf0000;
/** The plane, but for the two code points in it that are no characters. */
const mostStandIns = 0xfffe;

const standInRange = /[\u{f0000}-\u{ffffd}]/u;
const standInsOfText = new RegExp(standInRange, "gu");

export interface Mask {
  /** The text with stand-ins for the characters at the places chosen, but for white space. */
  hide(text: string, isChosen?: (at: number) => boolean): string;
  /** The text with its own characters again. */
  reveal(text: string): string;
}

export function createMask(): Mask {
  const standIns = new Map<string, string>();
  const originals = new Map<string, string>();
  return {
    hide(text, isChosen = () => true) {
      let at = 0;
      let hidden = "";
      for (const character of text) {
        // one that looks like a stand-in is hidden in any case, or it would be taken for one
        const isHidden = (isChosen(at) && !/\s/.test(character)) || standInRange.test(character);
        hidden += isHidden ? standInOf(character) : character;
        at += character.length;
      }
      return hidden;
    },
    reveal(text) {
      return text.replace(standInsOfText, (standIn) => originals.get(standIn) ?? standIn);
    },
  };

  function standInOf(character: string): string {
    let standIn = standIns.get(character);
    if (standIn === undefined) {
      // beyond 65,534 different characters, which no text has, they share the last one: reveal() then shows that it failed
      standIn = String.fromCodePoint(firstStandIn + Math.min(standIns.size, mostStandIns - 1));
      standIns.set(character, standIn);
      originals.set(standIn, character);
    }
    return standIn;
  }
}

/**
 * The places in a message's text that could be taken for a part of a control token: where a whole name begins, where the end of
 * the text begins a name, or its beginning ends one, or all of it lies within a name.
 */
export function riskyPlaces(text: string, controls: readonly string[]): Set<number> {
  const places = new Set<number>();
  const begin = text.length - text.trimStart().length;
  const end = text.trimEnd().length;
  const core = text.slice(begin, end);
  for (const name of controls) {
    for (let at = text.indexOf(name); at >= 0; at = text.indexOf(name, at + 1)) places.add(at);
    for (let length = 1; length < name.length; length++) {
      if (core.endsWith(name.slice(0, length))) places.add(end - length);
      if (core.startsWith(name.slice(-length))) places.add(begin);
    }
    if (name.includes(core)) for (let at = begin; at < end; at++) places.add(at);
  }
  return places;
}
