import { messageOf } from "./dom.js";

/** A button that begins a task, and while that is under way stops it. */
export interface TaskButton {
  /** Begins the task or, where one is under way, stops that. */
  press(task: (signal: AbortSignal) => Promise<void>): Promise<void>;
  stop(): void;
  readonly running: boolean;
}

/** What the task fails with stands in `error`, and nowhere else. */
export function createTaskButton(button: HTMLButtonElement, error: HTMLElement): TaskButton {
  const label = button.textContent;
  let abort: AbortController | undefined;
  const stop = () => abort?.abort();
  return {
    stop,
    get running() {
      return abort !== undefined;
    },
    async press(task) {
      if (abort) return stop();
      abort = new AbortController();
      button.textContent = "Stop";
      error.textContent = "";
      try {
        await task(abort.signal);
      } catch (reason) {
        error.textContent = messageOf(reason);
      } finally {
        abort = undefined;
        button.textContent = label;
      }
    },
  };
}
