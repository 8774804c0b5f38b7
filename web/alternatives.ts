import type { TokenLogprob } from "../runtime/index.js";
import { make } from "./dom.js";

/** What is shown of a token. */
export interface TokenChoice {
  readonly token: number;
  readonly logprob: number;
  /** The likeliest, best first. */
  readonly top: readonly TokenLogprob[];
  /** The text of a token, with its spaces and line feeds made visible. */
  readonly pieceOf: (token: number) => string;
  /** Goes on from another token in this one's place, where that can be done. */
  readonly pick?: ((token: number) => void) | undefined;
}

/** The list beside a token of what the model might have said in its place. */
export interface Alternatives {
  show(anchor: HTMLElement, choice: TokenChoice): void;
  /** Hides it soon, unless the pointer comes to it or it is shown anew. */
  leave(): void;
  hide(): void;
  /** Moves the focus to the list; false where it has nothing to choose. */
  enter(): boolean;
  contains(node: EventTarget | null): boolean;
}

const LEAVE_MS = 200;
const MARGIN = 8;

export function createAlternatives(list: HTMLElement): Alternatives {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stay = () => clearTimeout(timer);
  const hide = () => {
    stay();
    list.hidden = true;
  };
  const leave = () => {
    stay();
    timer = setTimeout(hide, LEAVE_MS);
  };
  list.addEventListener("pointerenter", stay);
  list.addEventListener("pointerleave", leave);
  document.addEventListener("keydown", ({ key }) => {
    if (key === "Escape") hide();
  });
  return {
    show(anchor, choice) {
      stay();
      list.replaceChildren(...rowsOf(choice));
      list.hidden = false;
      place(list, anchor);
    },
    leave,
    hide,
    enter() {
      const button = list.querySelector("button");
      if (list.hidden || !button) return false;
      button.focus();
      return true;
    },
    contains: (node) => node instanceof Node && list.contains(node),
  };
}

/** In words, for those who hear the page. */
export function spoken({ token, logprob, top, pieceOf }: TokenChoice): string {
  const others = top.filter((other) => other.token !== token);
  const said = others.map((other) => `${pieceOf(other.token)} ${percent(other.logprob)}`).join(", ");
  return `${pieceOf(token)}, ${percent(logprob)}${said ? `; instead: ${said}` : ""}`;
}

function rowsOf({ token, logprob, top, pieceOf, pick }: TokenChoice): HTMLElement[] {
  const isAmong = top.some((other) => other.token === token);
  const rows = isAmong ? top : [{ token, logprob }, ...top];
  const list = make("ul", "", ...rows.map((row) => rowOf(row)));
  return pick ? [list, make("p", "hint", "Choose one to go on from it.")] : [list];

  function rowOf(row: TokenLogprob): HTMLElement {
    const bar = make("progress", "");
    bar.value = Math.exp(row.logprob);
    bar.ariaHidden = "true";
    const cells = [
      make("span", "piece", pieceOf(row.token)),
      bar,
      make("span", "share", percent(row.logprob)),
    ];
    if (row.token === token) return make("li", "chosen", ...cells);
    if (!pick) return make("li", "", ...cells);
    const button = make("button", "", ...cells);
    button.type = "button";
    button.addEventListener("click", () => pick(row.token));
    return make("li", "", button);
  }
}

function percent(logprob: number): string {
  const share = 100 * Math.exp(logprob);
  return `${share < 0.1 ? "< 0.1" : share.toFixed(share < 10 ? 1 : 0)} %`;
}

/** Below the token, or above it where the window ends; always within its width. */
function place(list: HTMLElement, anchor: HTMLElement): void {
  const at = anchor.getClientRects()[0] ?? anchor.getBoundingClientRect();
  const { clientWidth, clientHeight } = document.documentElement;
  const left = Math.max(MARGIN, Math.min(at.left, clientWidth - list.offsetWidth - MARGIN));
  const isBelow = at.bottom + MARGIN + list.offsetHeight < clientHeight || at.top < list.offsetHeight;
  const top = isBelow ? at.bottom + MARGIN : at.top - MARGIN - list.offsetHeight;
  list.style.left = `${left + scrollX}px`;
  list.style.top = `${top + scrollY}px`;
}
