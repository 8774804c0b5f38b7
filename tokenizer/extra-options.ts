import type { ExtraOption } from "./tokenizer.js";

/**
 * Ids or pieces after SentencePiece's extra options, which apply in the order in which they are given.
 *
 * @param special what stands for bos and eos
 * @param named what an id or piece is once unknown ones are named `<unk>`
 */
export function applyExtraOptions<T>(
  items: T[],
  options: readonly ExtraOption[],
  special: (name: "bos" | "eos") => T,
  named: (item: T) => T,
): T[] {
  let found = items;
  for (const option of options) {
    if (option === "bos") found.unshift(special("bos"));
    else if (option === "eos") found.push(special("eos"));
    else if (option === "reverse") found.reverse();
    else if (option === "unk") found = found.map(named);
    else
      throw new RangeError(`Cannot encode: expected an extra of bos, eos, reverse or unk, found ${option}`);
  }
  return found;
}
