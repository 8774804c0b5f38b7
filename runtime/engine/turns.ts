import { createWatch } from "./watch.js";

/** One who has been let in. */
export interface Turn {
  /** Says that nothing is computed until resume(): if others wait, and the pause is not a short one, the turn passes to them. */
  pause(): void;
  /** Resolves when it is the caller's turn again: at once, unless it has passed. Rejects as take does. */
  resume(): Promise<void>;
  end(): void;
}

/** First come, first served: one holder at a time. */
export interface Turns {
  /**
   * Resolves when it is the caller's turn. Rejects with the signal's reason if that comes first. An abort also ends a turn that has
   * begun: whoever holds it must not compute any more.
   */
  take(signal?: AbortSignal): Promise<Turn>;
  /** Rejects all who wait and all who will come, and ends the turn that is under way. */
  close(reason: unknown): void;
}

/**
 * How long a holder may pause while others wait: a reader that works through what it gets takes less, and passing the turn on costs
 * copying keys and values out and in again.
 */
const PATIENCE_MS = 10;

interface Waiting {
  begin(): void;
  refuse(reason: unknown): void;
  isPaused: boolean;
}

export function createTurns(): Turns {
  /** The first one holds the turn. */
  const queue: Waiting[] = [];
  let closed: { readonly reason: unknown } | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const watch = createWatch();

  function enter(place: Waiting): void {
    queue.push(place);
    if (queue[0] === place) place.begin();
    else watchPause();
  }

  function leave(place: Waiting): void {
    const at = queue.indexOf(place);
    if (at < 0) return;
    queue.splice(at, 1);
    if (at === 0) queue[0]?.begin();
  }

  /** Passes the turn on if its holder still pauses after a while. */
  function watchPause(): void {
    clearTimeout(timer);
    const [holder] = queue;
    if (!holder?.isPaused || queue.length < 2) return;
    timer = setTimeout(() => {
      if (queue[0] === holder && holder.isPaused && queue.length > 1) leave(holder);
    }, PATIENCE_MS);
  }

  /** Waits for the turn anew, at the end of the queue. */
  function wait(place: Waiting): Promise<void> {
    if (closed) return Promise.reject(closed.reason);
    return new Promise((resolve, reject) => {
      place.begin = resolve;
      place.refuse = reject;
      enter(place);
    });
  }

  return {
    async take(signal) {
      signal?.throwIfAborted();
      let isOver = false;
      const place: Waiting = { begin() {}, refuse() {}, isPaused: false };
      const unwatch = watch(signal, () => {
        isOver = true;
        leave(place);
        place.refuse(signal!.reason);
      });
      const end = () => {
        isOver = true;
        unwatch();
        leave(place);
      };
      try {
        await wait(place);
      } catch (error) {
        unwatch();
        throw error;
      }
      return {
        pause() {
          place.isPaused = true;
          watchPause();
        },
        async resume() {
          place.isPaused = false;
          if (queue[0] === place) return clearTimeout(timer);
          signal?.throwIfAborted();
          if (isOver) throw new Error("Cannot resume: the turn has ended");
          await wait(place);
        },
        end,
      };
    },
    close(reason) {
      closed = { reason };
      clearTimeout(timer);
      for (const place of queue.splice(0)) place.refuse(reason);
    },
  };
}
