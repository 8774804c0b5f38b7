// Texts that tokenizers get wrong, made at random: the same seed gives the same ones.

const spaces = [..." \t\u00a0\u1680\u2000\u2003\u200a\u202f\u205f\u3000\u200b\u2060\ufeff"];
const controls = [..."\u0001\u0007\u0008\u000b\u000c\u001b\u007f\u0085\u00ad\u200e\u200f\u202e\u2066\u2069"];
const breaks = ["\n", "\r\n", "\r", "\0", "a\n", " \n "];
const emoji = ["👨‍👩‍👧‍👦", "👩🏽‍🚀", "🏳️‍🌈", "🇯🇵", "1️⃣", "😀", "❤️"];
const words = [
  "the",
  "Hello",
  "world",
  "don't",
  "naïve",
  "日本語",
  "吾輩は猫である",
  "שלום",
  "مرحبا",
  "ﷺ",
  "ｶﾞ",
  "①",
  "ﬁ",
];
const code = [
  "for (let i = 0; i < n; i++) {",
  "  return x->y;",
  "</s><s>",
  "[INST]",
  "<unk>",
  "<0x0A>",
  "0x1F",
  "__init__",
  "\\n",
];
const marks = [..."\u0300\u0301\u0308\u0323\u0327\u034f\u0483\u0591\u0e31\u3099\u20dd\ufe0f"];

/**
 * @param {{ piece(id: number): string, vocabSize: number }} tokenizer whose pieces are among the texts' parts
 * @returns {string[]} texts of whole characters
 */
export function nastyTexts(tokenizer, seed, count) {
  const random = generator(seed);
  return Array.from({ length: count }, () => {
    let text = "";
    for (let parts = 1 + Math.floor(random() ** 3 * 40); parts > 0; parts--) text += part(tokenizer, random);
    return text.toWellFormed();
  });
}

/** The same text on one line. */
export function onOneLine(text) {
  return text.replace(/[\n\r\0]/g, " ");
}

function part(tokenizer, random) {
  const pick = (list) => list[Math.floor(random() * list.length)];
  const times = (most) => 1 + Math.floor(random() ** 2 * most);
  switch (Math.floor(random() * 13)) {
    case 0: // any character of any plane
      return scalar(Math.floor(random() * 0x110000));
    case 1: // one of the first plane, where most rules are
      return scalar(Math.floor(random() ** 2 * 0x10000));
    case 2:
      return pick(spaces).repeat(times(12));
    case 3:
      return pick(controls);
    case 4:
      return pick(emoji).repeat(times(3));
    case 5:
      return pick("aeinoAÄｶ日".split("")) + pick(marks).repeat(times(4));
    case 6:
      return pick(code);
    case 7:
      return "\u2581".repeat(times(4));
    case 8: // what malformed bytes become
      return "\ufffd".repeat(times(3));
    case 9: // pieces glued together
      return Array.from({ length: times(6) }, () => pieceText(tokenizer, random)).join("");
    case 10:
      return pick(breaks).repeat(times(3));
    case 11:
      return pick(["a", "=", "-", "ab", "。", "0", " x", "th"]).repeat(times(40));
    default:
      return `${pick(["", " ", "  "])}${pick(words)}${pick(["", " ", ", ", "."])}`;
  }
}

function pieceText(tokenizer, random) {
  const piece = tokenizer.piece(Math.floor(random() * tokenizer.vocabSize));
  return random() < 0.8 ? piece.replaceAll("\u2581", " ") : piece;
}

function scalar(code) {
  return code >= 0xd800 && code < 0xe000 ? "\ufffd" : String.fromCodePoint(code);
}

/** Numbers from 0 to 1, by Marsaglia's xorshift. */
function generator(seed) {
  let state = Math.imul(seed + 1, 0x9e3779b1) | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
