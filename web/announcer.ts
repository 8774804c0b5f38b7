/** A screen reader that is told each token would never get to the end of a word. */
const LONGEST = 240;

/** Speaks a text as it grows, politely: a sentence at a time, or what there is when it gets long. */
export interface Announcer {
  push(text: string): void;
  /** Speaks what is left. */
  end(): void;
  /** Speaks this, at once. */
  say(text: string): void;
}

export function createAnnouncer(region: HTMLElement): Announcer {
  let waiting = "";
  const say = (text: string) => {
    region.textContent = text;
  };
  return {
    push(text) {
      waiting += text;
      const sentences = /^[\s\S]*[.!?…]["'”’)]*\s/.exec(waiting)?.[0];
      const ready = sentences ?? (waiting.length > LONGEST ? waiting : "");
      if (!ready) return;
      say(ready);
      waiting = waiting.slice(ready.length);
    },
    end() {
      if (waiting.trim()) say(waiting);
      waiting = "";
    },
    say,
  };
}
