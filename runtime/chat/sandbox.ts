import { ChatError, UnsupportedError } from "../errors.js";

// Limits on templates, which come from files that anybody may have written. Real ones have up to 20,000 characters, and take some
// thousand steps for a conversation.

/** Longest template, in UTF-16 units. */
const MAX_TEMPLATE = 2 ** 18;
/** A step is an expression that is evaluated, or 16 units of a text that it gives. */
const MAX_STEPS = 2_000_000;
/** An element of a list that an expression gives: a loop over it makes a scope for each before its first step. */
const STEPS_PER_ELEMENT = 8;
/** For each unit of the messages so many steps more: a long prompt is no endless loop. */
const STEPS_PER_UNIT = 64;
/** Longest text that an expression may give, beside what the messages bring, in UTF-16 units. */
const MAX_TEXT = 2 ** 20;
/** Largest number: it may become a count of spaces. */
const MAX_NUMBER = 2 ** 20;

/** Runs a template over its variables. Throws a ChatError. */
export type CompiledTemplate = (variables: Readonly<Record<string, unknown>>) => string;

/** What is used of the package, whose own declarations do not resolve in ES modules. */
interface Jinja {
  readonly Environment: new () => { set(name: string, value: unknown): unknown };
  readonly Interpreter: new (
    environment: object,
  ) => {
    run(program: object): { readonly value: unknown };
    evaluate(statement: unknown, environment: unknown): { readonly value: unknown };
  };
  tokenize(
    source: string,
    options: { readonly lstrip_blocks: boolean; readonly trim_blocks: boolean },
  ): object;
  parse(tokens: object): object;
}

/**
 * A Jinja template, by `@huggingface/jinja`, which is loaded now and not before. Its values are wrapped, so that templates reach no
 * JavaScript object, and no `constructor` or `__proto__`; beyond that they have `raise_exception` and `range`, but no clock. Every
 * step that its interpreter makes is counted here.
 */
export async function compileTemplate(source: string): Promise<CompiledTemplate> {
  if (source.length > MAX_TEMPLATE) {
    throw failure(`expected at most ${MAX_TEMPLATE} characters, found ${source.length}`);
  }
  const { Environment, Interpreter, parse, tokenize } = await loadJinja();
  const program = attempt(() => parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true })));

  /** The interpreter, which pays for each value out of a budget. */
  class Metered extends Interpreter {
    #steps: number;
    readonly #longest: number;

    constructor(environment: object, units: number) {
      super(environment);
      this.#steps = MAX_STEPS + STEPS_PER_UNIT * units;
      this.#longest = MAX_TEXT + 4 * units;
    }

    override evaluate(statement: unknown, environment: unknown): { readonly value: unknown } {
      this.#pay(1);
      const result = super.evaluate(statement, environment);
      const { value } = result;
      if (typeof value === "string") {
        if (value.length > this.#longest)
          throw failure(`expected at most ${this.#longest} characters of text`);
        this.#pay(value.length >> 4);
      } else if (Array.isArray(value)) {
        this.#pay(STEPS_PER_ELEMENT * value.length);
      } else if (typeof value === "number" && Math.abs(value) > MAX_NUMBER) {
        throw failure(`expected numbers up to ${MAX_NUMBER}, found ${value}`);
      }
      return result;
    }

    #pay(steps: number): void {
      this.#steps -= steps;
      if (this.#steps < 0) throw failure(`expected at most ${MAX_STEPS} steps, and some for the messages`);
    }
  }

  return (variables) => {
    const environment = new Environment();
    for (const [name, value] of Object.entries({ ...globals, ...variables })) environment.set(name, value);
    const units = JSON.stringify(variables).length;
    return attempt(() => {
      return String(new Metered(environment, units).run(program).value);
    });
  };
}

async function loadJinja(): Promise<Jinja> {
  try {
    return (await import("@huggingface/jinja")) as unknown as Jinja;
  } catch (cause) {
    throw new UnsupportedError(
      "Cannot render a chat with the model's template: expected the package @huggingface/jinja, found none; name a format instead",
      { cause },
    );
  }
}

const globals = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  raise_exception(message: unknown) {
    throw failure(`it says: ${String(message)}`);
  },
  range(...bounds: readonly unknown[]): number[] {
    const [start, stop, step] =
      bounds.length < 2 ? [0, bounds[0], 1] : [bounds[0], bounds[1], bounds[2] ?? 1];
    if (![start, stop, step].every(Number.isSafeInteger) || step === 0) {
      throw failure("expected range of integers, the step not 0");
    }
    const [from, to, by] = [start, stop, step] as [number, number, number];
    const length = Math.max(0, Math.ceil((to - from) / by));
    if (length > MAX_NUMBER) throw failure(`expected ranges of up to ${MAX_NUMBER} numbers, found ${length}`);
    return Array.from({ length }, (_, i) => from + i * by);
  },
};

/** What the template engine throws, and an exhausted stack, is what is wrong with the template. */
function attempt<T>(run: () => T): T {
  try {
    return run();
  } catch (cause) {
    if (cause instanceof ChatError) throw cause;
    throw failure(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function failure(problem: string, cause?: unknown): ChatError {
  return new ChatError(`Cannot render a chat with the model's template: ${problem}`, { cause });
}
