import { described } from "../check-options.js";
import { FormatError, NetworkError } from "../errors.js";

/** A request or its answer that came to nothing, and may come to something when it is made again. */
export class Dropped extends Error {
  override name = "Dropped";

  /** @param retryAfterMs how long the server asks to be left alone */
  constructor(
    message: string,
    readonly status?: number,
    readonly retryAfterMs?: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export interface ConnectOptions {
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal | undefined;
  /** How long a server may say nothing before it counts as gone. */
  readonly stallMs: number;
}

/** A server's answer: a file's bytes from some byte on. */
export interface Connection {
  /** Where in the file the bytes begin: where they were asked for or, of a server that knows no ranges, at 0. */
  readonly from: number;
  /** Whether the server knows ranges. */
  readonly ranged: boolean;
  /** The file's size; undefined where the server does not say. */
  readonly size: number | undefined;
  /** What tells this file from others that had its address before; undefined where the server says nothing of the kind. */
  readonly version: string | undefined;
  /** The next bytes; undefined at the end. Rejects with Dropped, or with the signal's reason. */
  read(): Promise<Uint8Array | undefined>;
  /** Ends the request. */
  close(): void;
}

/** Statuses that pass: timeouts, too many requests, and what a server or something before it is in trouble with. */
const passing = [408, 425, 429, 500, 502, 503, 504];

/**
 * Asks for a file from a byte on. The server's answer may be the whole file.
 *
 * There is no If-Range: to pages of other origins browsers would allow it only after a request of its own. The version that each
 * answer comes with says the same.
 *
 * @throws Dropped where asking again may help
 * @throws NetworkError where it won't; FormatError for a web page in place of the file
 */
export async function connect(url: string, from: number, options: ConnectOptions): Promise<Connection> {
  const request = beginRequest(options);
  try {
    const response = await request.guard(
      fetch(url, {
        headers: { ...options.headers, Range: `bytes=${from}-` },
        signal: request.signal,
        cache: "no-store", // a copy of its own in the browser's cache would be of no use, and hide a newer file
      }),
    );
    return { ...answered(url, from, response), ...bodyOf(response, request) };
  } catch (error) {
    request.end();
    throw error;
  }
}

/** What the answer says of the file. Throws where it is not the file. */
function answered(
  url: string,
  from: number,
  { status, statusText, headers }: Response,
): Omit<Connection, "read" | "close"> {
  const shown = urlName(url);
  const fail = (found: string) =>
    new NetworkError(`Cannot fetch ${shown}: expected a file, found ${found}`, { status });
  if (passing.includes(status)) {
    throw new Dropped(`status ${status} ${statusText}`.trim(), status, retryAfter(headers));
  }
  const version = headers.get("ETag") ?? headers.get("Last-Modified") ?? undefined;
  const range = /^bytes (?:(\d+)-(\d+)|\*)\/(\d+|\*)$/.exec(headers.get("Content-Range") ?? "");
  const total = range?.[3] === undefined || range[3] === "*" ? undefined : Number(range[3]);
  if (status === 416) {
    if (from === 0 && total === 0) return { from, ranged: true, size: 0, version };
    throw fail(`one that has no byte ${from}${total === undefined ? "" : `: it has ${total}`}`);
  }
  if (status !== 200 && status !== 206) throw fail(`status ${status} ${statusText}`.trim());
  if (/^text\/html\b/i.test(headers.get("Content-Type") ?? "")) {
    throw new FormatError(`Cannot fetch ${shown}: expected a model's file, found an HTML page`);
  }
  // compressed, the length is that of something else
  const isPlain = (headers.get("Content-Encoding") ?? "identity") === "identity";
  const said = headers.get("Content-Length");
  const length = isPlain && said !== null ? Number(said) : undefined;
  if (status === 200) return { from: 0, ranged: false, size: length, version };
  // servers of other origins may keep Content-Range from a page; its range can only be the one that was asked for
  if (!range) return { from, ranged: true, size: length === undefined ? undefined : from + length, version };
  if (Number(range[1]) !== from) {
    throw fail(`bytes from ${described(range[1])} on, where those from ${from} on were asked for`);
  }
  return { from, ranged: true, size: total, version };
}

function bodyOf({ body, status }: Response, request: Request): Pick<Connection, "read" | "close"> {
  const reader = status === 416 ? undefined : body?.getReader();
  return {
    async read() {
      const piece = reader && (await request.guard(reader.read()));
      if (!piece?.value) request.end();
      return piece?.value;
    },
    close() {
      request.end();
      reader?.cancel().catch(() => {}); // it has failed already, then
    },
  };
}

interface Request {
  readonly signal: AbortSignal;
  /** The promise's value; instead of its error, and after a silence, a Dropped or the signal's reason. */
  guard<T>(promise: Promise<T>): Promise<T>;
  end(): void;
}

/** A request that ends when the signal is aborted, or when nothing is heard for a while. */
function beginRequest({ signal, stallMs }: ConnectOptions): Request {
  signal?.throwIfAborted();
  const controller = new AbortController();
  const abort = () => controller.abort(signal!.reason);
  signal?.addEventListener("abort", abort);
  return {
    signal: controller.signal,
    async guard(promise) {
      const stalled = new Dropped(`nothing in ${Math.round(stallMs / 1000)} s`);
      const timer = setTimeout(() => controller.abort(stalled), stallMs);
      try {
        return await promise;
      } catch (cause) {
        signal?.throwIfAborted();
        throw controller.signal.aborted
          ? stalled
          : new Dropped(reasonOf(cause), undefined, undefined, { cause });
      } finally {
        clearTimeout(timer);
      }
    },
    end() {
      signal?.removeEventListener("abort", abort);
      controller.abort();
    },
  };
}

/** What fetch says is little ("fetch failed", "terminated"); in Node the cause says more. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}

/** Seconds, or a date. */
function retryAfter(headers: Headers): number | undefined {
  const said = headers.get("Retry-After");
  if (said === null) return undefined;
  const ms = /^\d+$/.test(said) ? 1000 * Number(said) : Date.parse(said) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(ms, 0);
}

/** A URL as errors and sources call it: without its query, which may hold a secret, and with its letters plain. */
export function urlName(url: string): string {
  const plain = url.replace(/[?#].*$/s, "");
  try {
    return decodeURI(plain);
  } catch {
    return plain; // not UTF-8 in there
  }
}
