import { load, type Model, type Progress } from "../runtime/index.js";

/** What a reader can choose: the bundled model, a file, or an address. */
export type Choice = "tiny" | File | string;

export type EngineState =
  | { readonly kind: "chosen" }
  | { readonly kind: "loading"; readonly progress: Progress | undefined }
  | { readonly kind: "ready"; readonly model: Model; readonly ms: number }
  | { readonly kind: "failed"; readonly error: unknown };

/** One model at a time: the one that was chosen last. */
export interface Engine {
  readonly choice: Choice;
  /** Lets go of the model before, and of what it was writing. The new one is loaded when it is needed. */
  choose(choice: Choice): void;
  /** The chosen model, loaded with the first call. Rejects when loading fails or is cancelled; the next call tries again. */
  model(): Promise<Model>;
  /** Ends a loading that is under way. */
  cancel(): void;
}

export function createEngine(onChange: (choice: Choice, state: EngineState) => void): Engine {
  let choice: Choice = "tiny";
  let loading: Promise<Model> | undefined;
  let abort = new AbortController();

  async function open(chosen: Choice, { signal }: AbortController): Promise<Model> {
    // what a choice that is no longer the reader's goes through is not shown
    const tell = (state: EngineState) => {
      if (!signal.aborted) onChange(chosen, state);
    };
    const begun = performance.now();
    tell({ kind: "loading", progress: undefined });
    try {
      const model = await load(chosen, {
        signal,
        onProgress: (progress) => tell({ kind: "loading", progress }),
      });
      tell({ kind: "ready", model, ms: performance.now() - begun });
      return model;
    } catch (error) {
      if (!signal.aborted) loading = undefined;
      tell({ kind: "failed", error });
      throw error;
    }
  }

  /** Ends the loading, or the model that came of it. */
  function letGo(): void {
    abort.abort();
    abort = new AbortController();
    loading?.then((model) => model.dispose()).catch(() => {}); // whoever asked for it was told why it failed
    loading = undefined;
  }

  return {
    get choice() {
      return choice;
    },
    choose(next) {
      letGo();
      choice = next;
      onChange(choice, { kind: "chosen" });
    },
    model() {
      loading ??= open(choice, abort);
      return loading;
    },
    cancel() {
      letGo();
      onChange(choice, { kind: "chosen" });
    },
  };
}
