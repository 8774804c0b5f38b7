/** Throws a TypeError that names the first option that is not among `known`. */
export function checkNames(doing: string, options: object, known: readonly string[]): void {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`Cannot ${doing}: expected an object of options, found ${String(options)}`);
  }
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) {
      throw new TypeError(`Cannot ${doing}: expected the options ${known.join(", ")}, found "${name}"`);
    }
  }
}

/** The value, when it is undefined or an integer from `least` on; else throws a TypeError. */
export function checkCount(doing: string, name: string, value: unknown, least: number): void {
  if (value !== undefined && !(Number.isSafeInteger(value) && (value as number) >= least)) {
    const found = typeof value === "string" ? JSON.stringify(value) : String(value);
    throw new TypeError(
      `Cannot ${doing}: expected ${name} to be an integer, ${least} or more, found ${found}`,
    );
  }
}
