import type { Checkpoint } from "../formats/checkpoint.js";

/** The longest context that is reserved without being asked for: Llama 2's own. */
const DEFAULT_CONTEXT = 4096;

/** The context that a model gets: what was asked for, as far as it was trained for it. Throws a RangeError. */
export function chooseContext({ config, source }: Checkpoint, asked: number | undefined): number {
  if (asked === undefined) return Math.min(config.contextLength, DEFAULT_CONTEXT);
  if (asked > config.contextLength) {
    throw new RangeError(
      `Cannot load ${source.name}: expected a contextLength of at most ${config.contextLength}, which the model was trained on, found ${asked}`,
    );
  }
  return asked;
}
