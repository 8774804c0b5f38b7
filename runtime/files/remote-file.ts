import { NetworkError } from "../errors.js";
import { grouped } from "../formats/byte-cursor.js";
import { concatenated } from "../formats/join-sources.js";
import { type Connection, connect, Dropped, urlName } from "./connection.js";

/** How long is waited for a server, and how often it is asked again. */
export interface Patience {
  /** Requests in a row that bring no byte. */
  readonly attempts: number;
  /** Before the second request; twice as long before each further one. */
  readonly firstWaitMs: number;
  /** The longest that a server may ask to be left alone (Retry-After). */
  readonly longestWaitMs: number;
  /** How long a server may say nothing before it counts as gone. */
  readonly stallMs: number;
}

/** In all some eight seconds for a server that is not there. */
export const defaultPatience: Patience = {
  attempts: 5,
  firstWaitMs: 500,
  longestWaitMs: 60_000,
  stallMs: 30_000,
};

export interface RemoteOptions {
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal | undefined;
  readonly patience: Patience;
}

/** What is known of a file on a server, and must not change while it is read. */
export interface RemoteFacts {
  /** In bytes; undefined where the server does not say. */
  readonly size: number | undefined;
  readonly version: string | undefined;
}

export interface RemoteAnswer extends RemoteFacts {
  /** Whether the server gives parts of the file. */
  readonly ranged: boolean;
}

/**
 * A file on a server, read forward over one request for as long as that lasts. A connection that drops is made again at the very
 * byte where it dropped. Of a server that knows no ranges the bytes up to there are read again, and thrown away.
 *
 * What rejects does so with a NetworkError where bytes cannot be had, and where the file is no longer the one that was opened; a
 * FormatError for a web page in its place; the signal's reason.
 */
export class RemoteFile {
  readonly name: string;
  readonly #url: string;
  readonly #options: RemoteOptions;
  /** Where the next byte that is read lies in the file. */
  #position = 0;
  #connection: Connection | undefined;
  /** Of the last piece that came, what has not been read. */
  #rest: Uint8Array = new Uint8Array();
  /** Requests in a row that brought nothing. */
  #failures = 0;
  #facts: RemoteFacts | undefined;

  /** Nothing is asked for yet. */
  constructor(url: string, options: RemoteOptions) {
    this.name = urlName(url);
    this.#url = url;
    this.#options = options;
  }

  get position(): number {
    return this.#position;
  }

  /** Asks for the file from its beginning on. */
  async open(patience = this.#options.patience): Promise<RemoteAnswer> {
    this.#connection = await this.#patiently(() => this.#connect(patience), patience);
    return { ...this.#facts!, ranged: this.#connection.ranged };
  }

  /** The file is known, and nothing more is asked for until it is read. */
  expect({ size, version }: RemoteFacts): void {
    this.close();
    this.#facts = { size, version };
    this.#failures = 0;
  }

  /** The next bytes, as many as `into` has. */
  async fill(into: Uint8Array): Promise<void> {
    let filled = 0;
    while (filled < into.length) {
      const piece = await this.#patiently(() => this.#next());
      const bytes = piece.subarray(0, into.length - filled);
      into.set(bytes, filled);
      filled += bytes.length;
      this.#position += bytes.length;
      this.#rest = piece.subarray(bytes.length);
    }
  }

  /** A file whose size the server does not say, whole. Without a size an answer that ends is one that has ended well. */
  async readWhole(mostBytes: number): Promise<Uint8Array> {
    return this.#patiently(async () => {
      this.#connection ??= await this.#connect();
      const pieces: Uint8Array[] = [];
      let length = 0;
      for (let piece = await this.#connection.read(); piece; piece = await this.#connection.read()) {
        pieces.push(piece);
        length += piece.length;
        if (length > mostBytes) {
          throw new NetworkError(
            `Cannot fetch ${this.name}: expected at most ${grouped(mostBytes)} bytes from a server that does not say how many there are, found more`,
          );
        }
      }
      return concatenated(pieces);
    });
  }

  /** Goes on reading elsewhere. */
  seek(position: number): void {
    if (position === this.#position) return;
    this.close();
    this.#position = position;
  }

  close(): void {
    this.#connection?.close();
    this.#connection = undefined;
    this.#rest = new Uint8Array();
  }

  async #next(): Promise<Uint8Array> {
    if (this.#rest.length > 0) return this.#rest;
    this.#connection ??= await this.#connect();
    const piece = this.#rest.length > 0 ? this.#rest : await this.#connection.read();
    if (!piece) throw new Dropped(`an answer that ends at byte ${grouped(this.#position)}`);
    if (piece.length > 0) this.#failures = 0;
    return piece;
  }

  /** A connection that reads on from the position. */
  async #connect({ stallMs } = this.#options.patience): Promise<Connection> {
    const { headers, signal } = this.#options;
    const connection = await connect(this.#url, this.#position, { headers, signal, stallMs });
    try {
      this.#check(connection);
      let skipped = connection.from;
      while (skipped < this.#position) {
        const piece = await connection.read();
        if (!piece) throw new Dropped(`an answer that ends at byte ${grouped(skipped)}`);
        this.#rest = piece.subarray(Math.min(this.#position - skipped, piece.length));
        skipped += piece.length;
      }
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  #check({ size, version }: Connection): void {
    this.#facts ??= { size, version };
    const known = this.#facts;
    const isSame =
      (size === undefined || known.size === undefined || size === known.size) &&
      (version === undefined || known.version === undefined || version === known.version);
    if (isSame) return;
    const described = (facts: RemoteFacts) =>
      `${facts.size === undefined ? "" : `${grouped(facts.size)} bytes, `}version ${facts.version}`;
    throw new NetworkError(
      `Cannot fetch ${this.name}: expected the file that was opened, ${described(known)}; found another one, ${described({ size, version })}`,
    );
  }

  /** What a step gives, which is taken again, after a pause, when the connection drops. */
  async #patiently<T>(step: () => Promise<T>, patience = this.#options.patience): Promise<T> {
    for (;;) {
      try {
        return await step();
      } catch (error) {
        this.close();
        if (!(error instanceof Dropped)) throw error;
        await this.#pauseAfter(error, patience);
      }
    }
  }

  async #pauseAfter(dropped: Dropped, patience: Patience): Promise<void> {
    this.#failures++;
    const waitMs = dropped.retryAfterMs ?? patience.firstWaitMs * 2 ** (this.#failures - 1);
    if (this.#failures < patience.attempts && waitMs <= patience.longestWaitMs) {
      return pause(waitMs, this.#options.signal);
    }
    const tries = `after ${this.#failures} ${this.#failures === 1 ? "try" : "tries"}`;
    const wait =
      waitMs > patience.longestWaitMs ? `, to be asked again in ${Math.ceil(waitMs / 1000)} s` : "";
    throw new NetworkError(
      `Cannot fetch ${this.name}: expected its bytes from ${grouped(this.#position)} on, found ${dropped.message} ${tries}${wait}`,
      { cause: dropped.cause ?? dropped, ...(dropped.status !== undefined && { status: dropped.status }) },
    );
  }
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", abort, { once: true });
  });
}
