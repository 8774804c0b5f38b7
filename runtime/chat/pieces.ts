/** A part of a rendered chat: text, in which no control token counts as one, or a control token by its name. */
export type ChatPiece = { readonly text: string } | { readonly control: string };

/** Pieces with texts side by side put together, and none empty. */
export function joined(pieces: readonly ChatPiece[]): ChatPiece[] {
  const result: ChatPiece[] = [];
  for (const piece of pieces) {
    const last = result.at(-1);
    if ("control" in piece || !last || "control" in last) result.push(piece);
    else result[result.length - 1] = { text: last.text + piece.text };
  }
  return result.filter((piece) => "control" in piece || piece.text !== "");
}

/** Cuts a text at the names of control tokens: the leftmost, and of those the longest. */
export function cutAtControls(text: string, controls: readonly string[]): ChatPiece[] {
  const names = controls.filter(Boolean).sort((a, b) => b.length - a.length);
  if (names.length === 0) return text === "" ? [] : [{ text }];
  const anyName = new RegExp(`(${names.map(escaped).join("|")})`);
  const pieces = text.split(anyName).map((part, i) => (i % 2 === 0 ? { text: part } : { control: part }));
  return joined(pieces);
}

/** The text that pieces make, control tokens by their names. */
export function textOf(pieces: readonly ChatPiece[]): string {
  return pieces.map((piece) => ("control" in piece ? piece.control : piece.text)).join("");
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
}
