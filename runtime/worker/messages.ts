import type { RemoteModel } from "../api/remote-source.js";
import type { EngineFacts, GenerateIdsOptions } from "../engine/engine.js";
import type { ModelData, OpenModelOptions } from "../engine/open-model.js";
import type { GeneratedToken, GenerationEnd } from "../generate/generate-tokens.js";
import type { Progress } from "../progress.js";
import type { ErrorMessage } from "./errors.js";

// What a model's owner and the worker that computes it tell each other. A call is numbered by its owner, from 1 on. Its values come one
// by one, no more than a few ahead of those that its owner has taken.

/** A file: by its address or as a Blob, or one that its owner reads. */
export type SourceMessage =
  | { readonly kind: "path"; readonly path: string }
  | { readonly kind: "url"; readonly href: string }
  | { readonly kind: "remote"; readonly remote: RemoteModel }
  /** A File loses its name on the way in Node 20. */
  | { readonly kind: "blob"; readonly blob: Blob; readonly name: string | undefined }
  | { readonly kind: "owners"; readonly number: number; readonly name: string; readonly size: number }
  | { readonly kind: "list"; readonly files: readonly SourceMessage[] };

export interface OpenMessage {
  readonly kind: "open";
  readonly model: SourceMessage;
  readonly tokenizer: SourceMessage | undefined;
  readonly options: Omit<OpenModelOptions, "workerUrl" | "onProgress" | "signal" | "interrupt"> & {
    readonly workerUrl?: string | undefined;
  };
  /** Words of 32 bits in which the owner writes the numbers of calls that are to end; see `isEnded`. */
  readonly ended: SharedArrayBuffer | undefined;
}

/** What to do: the engine's methods, by name. */
export type Request =
  | {
      readonly method: "generate";
      readonly ids: readonly number[];
      readonly options: Pick<GenerateIdsOptions, "owner" | "sampling" | "maxTokens" | "logprobs" | "keep">;
      /** The texts of all tokens, where they are needed and have not been told before. */
      readonly texts: readonly string[] | undefined;
    }
  | {
      readonly method: "logits";
      readonly ids: readonly number[];
      readonly options: { readonly owner?: number | undefined; readonly from: number };
    }
  | { readonly method: "surprise"; readonly bos: number; readonly ids: readonly number[] }
  | { readonly method: "save"; readonly owner: number; readonly ids: readonly number[] }
  | { readonly method: "restore"; readonly owner: number; readonly bytes: Uint8Array };

export type OwnersMessage =
  | OpenMessage
  | { readonly kind: "call"; readonly call: number; readonly request: Request }
  /** So many more values have been taken. */
  | { readonly kind: "taken"; readonly call: number; readonly count: number }
  /** The text ends with the last token that was taken. */
  | { readonly kind: "end"; readonly call: number }
  /** Nobody wants to hear of the call any more. */
  | { readonly kind: "leave"; readonly call: number }
  | { readonly kind: "owner"; readonly owner: number; readonly isOpen: boolean }
  | { readonly kind: "bytes"; readonly read: number; readonly bytes: Uint8Array }
  | { readonly kind: "noBytes"; readonly read: number; readonly error: ErrorMessage }
  | { readonly kind: "dispose" };

export type WorkersMessage =
  | { readonly kind: "started" }
  | {
      readonly kind: "read";
      readonly read: number;
      readonly source: number;
      readonly start: number;
      readonly end: number;
    }
  | { readonly kind: "progress"; readonly progress: Progress }
  | { readonly kind: "opened"; readonly facts: EngineFacts; readonly data: ModelData }
  | { readonly kind: "notOpened"; readonly error: ErrorMessage }
  /** A token, logits, or how far it has come. */
  | { readonly kind: "value"; readonly call: number; readonly value: GeneratedToken | Float32Array | number }
  | { readonly kind: "done"; readonly call: number; readonly result: Result }
  | { readonly kind: "failed"; readonly call: number; readonly error: ErrorMessage }
  | { readonly kind: "disposed" };

export type Result = GenerationEnd | number | Uint8Array | readonly number[] | undefined;

/** How many values may be on their way: enough that the worker need not wait for a reader that keeps up. */
export const MOST_AHEAD = 8;

/** Calls that can be told to end at the same time; others are told by message only, at the next pause. */
export const ENDED_WORDS = 64;

/** The word in which a call's end is told. */
export function endedWord(call: number): number {
  return call % ENDED_WORDS;
}
