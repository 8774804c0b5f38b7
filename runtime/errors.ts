/**
 * The errors that a caller may want to tell apart. Everything else is a built-in class by its meaning: TypeError
 * and RangeError for wrong arguments, `signal.reason` for an abort. Every message says what was being done, a colon,
 * what was expected and what was found.
 */

/** The bytes are not what the format says: cut off, contradictory, or another kind of file altogether. */
export class FormatError extends Error {
  override name = "FormatError";
}

/** The file is well formed, but the model it describes cannot be run: missing tensors, shapes that do not fit. */
export class ModelError extends Error {
  override name = "ModelError";
}

/** A valid file or request that this version does not handle; the message names what. */
export class UnsupportedError extends Error {
  override name = "UnsupportedError";
}

/** The plan does not fit in memory; the message gives needed and available bytes. */
export class OutOfMemoryError extends Error {
  override name = "OutOfMemoryError";
}

/** The prompt does not fit in the context; the message gives both counts. */
export class ContextError extends Error {
  override name = "ContextError";
}

/** A NaN or an infinity where a number is needed: in the weights, or in the logits they lead to. */
export class NumericError extends Error {
  override name = "NumericError";
}

/** A thread that computes with others has ended, failed or stopped answering: the model it worked on can't go on. */
export class ThreadError extends Error {
  override name = "ThreadError";
}

/** A model's file cannot be had from its server: no connection, no such file, or not the bytes that were announced. */
export class NetworkError extends Error {
  override name = "NetworkError";
  /** The status that the server answered with; undefined where it didn't, or where that was fine and something else was not. */
  readonly status: number | undefined;

  constructor(
    message: string,
    { status, ...options }: ErrorOptions & Partial<Pick<NetworkError, "status">> = {},
  ) {
    super(message, options);
    this.status = status;
  }
}

/** A model's file cannot be kept on this device: no room, no permission, or nowhere to keep it. */
export class StorageError extends Error {
  override name = "StorageError";
}

/** Messages that a chat format has no way to write down, or a chat template that fails or asks for too much. */
export class ChatError extends Error {
  override name = "ChatError";
}

/** Bytes from which no session can be restored: no snapshot, a damaged one, or one of another model or version. */
export class SnapshotError extends Error {
  override name = "SnapshotError";
}
