import * as ours from "../errors.js";

/** An error on its way between threads: structured cloning loses classes of one's own. */
export interface ErrorMessage {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  /** What else it says, such as the system's `code` and `path`. */
  readonly more: Readonly<Record<string, string | number | boolean>>;
  readonly cause: ErrorMessage | undefined;
}

const classes: Readonly<Record<string, new (message: string) => Error>> = {
  ...ours,
  TypeError,
  RangeError,
  SyntaxError,
};

export function errorMessage(error: unknown): ErrorMessage {
  if (!(error instanceof Error)) return errorMessage(new Error(String(error)));
  const more = Object.entries(error).filter(([, value]) => /^(string|number|boolean)$/.test(typeof value));
  return {
    name: error.name,
    message: error.message,
    stack: error.stack,
    more: Object.fromEntries(more),
    cause: error.cause === undefined ? undefined : errorMessage(error.cause),
  };
}

/** An error of the same class with the same text. */
export function errorOf({ name, message, stack, more, cause }: ErrorMessage): Error {
  const error = new (classes[name] ?? Error)(message);
  Object.assign(error, more);
  error.name = name;
  if (stack) error.stack = stack;
  if (cause) error.cause = errorOf(cause);
  return error;
}
