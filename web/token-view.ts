import type { Part, Tokenizer } from "../runtime/index.js";
import { type Alternatives, spoken, type TokenChoice } from "./alternatives.js";
import type { Announcer } from "./announcer.js";
import { make } from "./dom.js";

/** Probabilities from which on a token is in this class and no higher one: p0 over a half, p4 below a hundredth. */
const classesFrom = [0.5, 0.2, 0.05, 0.01, 0];

/** A text on the page whose tokens are tinted by their probability, and say what they might have been. */
export interface TokenView {
  /** Begins a new text after one that is given. The tokenizer tells what tokens that were not taken say. */
  begin(given: string, tokenizer: Tokenizer): void;
  push(part: Part): void;
  /** The ids so far, without those of the given text. */
  readonly tokens: readonly number[];
  /** Takes tokens back, so that `count` stay. */
  truncate(count: number): void;
  /** Whether more is to come. */
  busy(is: boolean): void;
}

export interface TokenViewParts {
  readonly alternatives: Alternatives;
  readonly announcer: Announcer;
  /** Goes on from another token in place of number `index`. */
  readonly onPick?: (index: number, token: number) => void;
}

interface Shown {
  readonly span: HTMLElement;
  /** Number of the token. */
  readonly index: number;
  readonly choice: TokenChoice | undefined;
}

/** Makes an element a view. It takes the focus, and the arrow keys walk through its tokens. */
export function createTokenView(
  text: HTMLElement,
  { alternatives, announcer, onPick }: TokenViewParts,
): TokenView {
  let tokens: number[] = [];
  let shown: Shown[] = [];
  let current = -1;
  let tokenizer: Tokenizer | undefined;

  function choiceOf({ token, logprob, top = [] }: Part, index: number): TokenChoice | undefined {
    if (logprob === undefined) return undefined;
    const pick = onPick && ((other: number) => onPick(index, other));
    return { token, logprob, top, pieceOf: (id) => visible(tokenizer!, id), pick };
  }

  function mark(next: number): void {
    shown[current]?.span.classList.remove("current");
    current = next;
    shown[current]?.span.classList.add("current");
  }

  function walkTo(to: number): void {
    const next = Math.max(0, Math.min(shown.length - 1, to));
    const at = shown[next];
    if (!at) return;
    mark(next);
    at.span.scrollIntoView({ block: "nearest" });
    if (!at.choice) return;
    alternatives.show(at.span, at.choice);
    announcer.say(spoken(at.choice));
  }

  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      if (alternatives.enter()) event.preventDefault();
      return;
    }
    if (event.key === "Escape") return mark(-1);
    const last = shown.length - 1;
    const to = { ArrowLeft: current - 1, ArrowRight: current + 1, Home: 0, End: last }[event.key];
    if (to === undefined || shown.length === 0) return;
    event.preventDefault();
    walkTo(to);
  });
  text.addEventListener("focusout", ({ relatedTarget }) => {
    mark(-1);
    if (!alternatives.contains(relatedTarget)) alternatives.hide();
  });
  let pointedAt: EventTarget | null = null;
  const point = ({ target }: PointerEvent) => {
    if (target === pointedAt) return;
    pointedAt = target;
    const at = shown.find(({ span }) => span === target);
    if (at?.choice) alternatives.show(at.span, at.choice);
  };
  // not pointerover, which comes too when the text moves under a pointer that rests
  text.addEventListener("pointermove", point);
  text.addEventListener("pointerdown", point);
  text.addEventListener("pointerout", () => {
    pointedAt = null;
    alternatives.leave();
  });

  return {
    begin(given, from) {
      tokenizer = from;
      tokens = [];
      shown = [];
      current = -1;
      alternatives.hide();
      text.replaceChildren(...(given ? [make("span", "given", given)] : []));
    },
    push(part) {
      const last = shown.at(-1);
      if (part.logprob === undefined && last) {
        last.span.append(part.text); // held back until now: no token of its own
        return;
      }
      const index = tokens.push(part.token) - 1;
      if (!part.text) return;
      const likely = Math.exp(part.logprob ?? 0);
      const span = make("span", `token p${classesFrom.findIndex((from) => likely >= from)}`, part.text);
      text.append(span);
      shown.push({ span, index, choice: choiceOf(part, index) });
    },
    get tokens() {
      return tokens;
    },
    truncate(count) {
      tokens.length = count;
      mark(-1);
      alternatives.hide();
      while ((shown.at(-1)?.index ?? -1) >= count) shown.pop()!.span.remove();
    },
    busy(is) {
      text.classList.toggle("busy", is);
    },
  };
}

function visible(tokenizer: Tokenizer, id: number): string {
  const text = tokenizer.decode([id], { continues: true });
  return text ? text.replaceAll(" ", "␣").replaceAll("\n", "⏎") : tokenizer.piece(id);
}
