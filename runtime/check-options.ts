/** Throws a TypeError for options that are no object. */
export function checkObject(doing: string, options: object, what = "options"): void {
  if (typeof options === "object" && options !== null) return;
  throw new TypeError(`Cannot ${doing}: expected an object of ${what}, found ${described(options)}`);
}

/** Throws a TypeError that names the first option that is not among `known`. */
export function checkNames(doing: string, options: object, known: readonly string[], what = "options"): void {
  checkObject(doing, options, what);
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) {
      throw new TypeError(`Cannot ${doing}: expected the ${what} ${known.join(", ")}, found "${name}"`);
    }
  }
}

/** Throws a TypeError that names the option, what it has to be and what it is, unless `isRight`. */
export function checkOption(
  doing: string,
  name: string,
  value: unknown,
  expected: string,
  isRight: boolean,
): void {
  if (isRight) return;
  throw new TypeError(`Cannot ${doing}: expected ${name} to be ${expected}, found ${described(value)}`);
}

/** The value has to be undefined or an integer from `least` on. */
export function checkCount(doing: string, name: string, value: unknown, least: number): void {
  const isRight = value === undefined || (Number.isSafeInteger(value) && (value as number) >= least);
  checkOption(doing, name, value, `an integer, ${least} or more`, isRight);
}

/** A value in a few words, for the end of an error message. */
export function described(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "function") return "a function";
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "an array" : "an object";
  return String(value);
}
