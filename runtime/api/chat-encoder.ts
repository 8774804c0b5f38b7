import type { Tokenizer } from "../../tokenizer/index.js";
import { type ChatPiece, cutAtControls, textOf } from "../chat/pieces.js";

/** Turns rendered chats into ids. */
export interface ChatEncoder {
  /** Names of the tokens that begin and end a text; undefined where the vocabulary has none. */
  readonly bos: string | undefined;
  readonly eos: string | undefined;
  /** Names of the tokens that mark something, and that a text must not turn into. */
  readonly controls: readonly string[];
  /** The ids of pieces: no text becomes a control token, whatever it says. */
  encode(pieces: readonly ChatPiece[]): number[];
}

/** How the names of markers look: `<|im_end|>`, `</s>`, `[INST]`. */
const bracketed = /^[<[].+[>\]]$/s;

/**
 * Where messages have the names of control tokens in them, and where markers are user-defined tokens, each text between control
 * tokens is encoded by itself, with a space in front, as in llama.cpp.
 *
 * @param userDefined names of the vocabulary's user-defined tokens. SentencePiece finds these in any text, so that those that look
 * like markers are taken apart where a message has them.
 */
export function createChatEncoder(tokenizer: Tokenizer, userDefined: readonly string[]): ChatEncoder {
  const names = new Set<string>();
  for (let id = 0; id < tokenizer.vocabSize; id++) {
    const piece = tokenizer.piece(id);
    if (bracketed.test(piece) && isControl(tokenizer, piece)) names.add(piece);
  }
  const nameOf = (id: number | undefined) => (id === undefined ? undefined : tokenizer.piece(id));
  const [bos, eos] = [nameOf(tokenizer.bos), nameOf(tokenizer.eos)];
  for (const name of [bos, eos]) if (name !== undefined && isControl(tokenizer, name)) names.add(name);
  const markers = userDefined.filter((name) => bracketed.test(name));

  /** A text of messages: a marker in it is cut after its first character, and so is none. */
  function encodeText(text: string): number[] {
    const parts = cutAtControls(text, markers).flatMap((piece) => {
      if ("text" in piece) return [piece.text];
      const [first = ""] = piece.control;
      return [first, piece.control.slice(first.length)];
    });
    return parts.flatMap((part) => tokenizer.encode(part));
  }

  return {
    bos,
    eos,
    controls: [...names, ...markers],
    encode(pieces) {
      const text = textOf(pieces);
      const special = [...new Set(pieces.flatMap((piece) => ("control" in piece ? [piece.control] : [])))];
      const found = cutAtControls(text, [...special, ...markers]);
      const isPlain =
        special.every((name) => names.has(name)) && JSON.stringify(found) === JSON.stringify(pieces);
      // in one go: the tokenizer knows what becomes of spaces beside control tokens
      if (isPlain) return tokenizer.encode(text, { special });
      return pieces.flatMap((piece) =>
        "control" in piece ? [tokenizer.id(piece.control)!] : encodeText(piece.text),
      );
    },
  };
}

function isControl(tokenizer: Tokenizer, piece: string): boolean {
  try {
    tokenizer.encode("", { special: [piece] });
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}
