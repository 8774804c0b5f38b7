/** Looks for stop strings in a text that comes piece by piece. */
export interface StopMatcher {
  /**
   * Takes the next piece, and gives the text that is now known to stand before any stop string. The rest, which a stop string may
   * begin with, is held back. Once one is found nothing more comes.
   */
  push(text: string): string;
  /** The text held back, when no more will come; empty once a stop string is found. */
  end(): string;
  /** The stop string that was found first: the one that is complete first, of several the longest. */
  readonly found: string | undefined;
}

/** A place in the stop strings: what has been read ends with the first `depth` units of one of them. */
interface State {
  readonly depth: number;
  readonly next: Map<number, State>;
  /** Where to go on when no stop string goes on from here: the longest shorter end of what has been read that begins one. */
  fallback: State | undefined;
  /** The longest stop string that what has been read ends with. */
  found: string | undefined;
}

/**
 * A matcher for stop strings, none of them empty. It reads each UTF-16 unit once, and makes at most as many fallbacks as it has
 * read units: the automaton of Aho and Corasick ("Efficient String Matching: An Aid to Bibliographic Search", 1975). What it holds
 * back is just the longest end of the text that a stop string begins with.
 */
export function createStopMatcher(stops: readonly string[]): StopMatcher {
  const root = automaton(stops);
  let state = root;
  let held = "";
  let found: string | undefined;
  return {
    push(text) {
      if (found !== undefined) return "";
      const all = held + text;
      for (let i = 0; i < text.length; i++) {
        state = follow(state, text.charCodeAt(i), root);
        if (state.found === undefined) continue;
        found = state.found;
        const end = held.length + i + 1;
        held = "";
        return all.slice(0, end - found.length);
      }
      const safe = all.length - state.depth;
      held = all.slice(safe);
      return all.slice(0, safe);
    },
    end() {
      const rest = held;
      held = "";
      state = root;
      return rest;
    },
    get found() {
      return found;
    },
  };
}

function newState(depth: number): State {
  return { depth, next: new Map(), fallback: undefined, found: undefined };
}

function automaton(stops: readonly string[]): State {
  const root = newState(0);
  for (const stop of stops) {
    let state = root;
    for (let i = 0; i < stop.length; i++) {
      const unit = stop.charCodeAt(i);
      let next = state.next.get(unit);
      if (!next) {
        next = newState(i + 1);
        state.next.set(unit, next);
      }
      state = next;
    }
    state.found = stop;
  }
  // level by level, so that the shorter ends are done before they are needed
  const queue = [root];
  for (const state of queue) {
    for (const [unit, next] of state.next) {
      next.fallback = state === root ? root : follow(state.fallback!, unit, root);
      next.found ??= next.fallback.found;
      queue.push(next);
    }
  }
  return root;
}

function follow(from: State, unit: number, root: State): State {
  let state = from;
  for (;;) {
    const next = state.next.get(unit);
    if (next) return next;
    if (state === root) return root;
    state = state.fallback!;
  }
}
