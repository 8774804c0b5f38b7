import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A file on the server, and what kind of server it is. */
export interface ServedFile {
  readonly bytes: Uint8Array;
  readonly etag?: string;
  readonly lastModified?: string;
  readonly type?: string;
  /** Whether parts of it are given. Default: yes. */
  readonly ranges?: boolean;
  /** Whether its length is said. Default: yes. */
  readonly sized?: boolean;
  /** Another file that this is an address of. */
  readonly redirect?: string;
}

/** What goes wrong with a request. */
export type Fault =
  /** An answer without the file. */
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string }
  /** The connection ends after so many bytes of the body; below 0 before any answer. */
  | { readonly dropAfter: number }
  /** The answer is a shorter part than was asked for, and a whole one: unlike with a drop, nothing on its way is lost. */
  | { readonly endAfter: number }
  /** Nothing comes after so many bytes of the body; below 0 no answer. */
  | { readonly stallAfter: number }
  /** The answer says where its bytes are from, or how many there are, and is wrong. */
  | { readonly contentRange: string };

export interface SeenRequest {
  readonly path: string;
  readonly range: string | undefined;
  readonly headers: IncomingMessage["headers"];
}

/** A web server on this machine that does what a test tells it to. */
export interface FileServer {
  /** Its address, without a slash at the end. */
  readonly url: string;
  /** By their paths, which begin with a slash. */
  readonly files: Map<string, ServedFile>;
  /** Of the next requests, one after the other; undefined for one that is answered well. */
  readonly faults: (Fault | undefined)[];
  readonly requests: SeenRequest[];
  /** Answers under way. */
  openAnswers(): number;
  close(): Promise<void>;
}

export async function startFileServer(files: Readonly<Record<string, ServedFile>> = {}): Promise<FileServer> {
  const open = new Set<ServerResponse>();
  const server = createServer((request, response) => {
    open.add(response);
    response.on("close", () => open.delete(response));
    answer(state, request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const state: FileServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    files: new Map(Object.entries(files)),
    faults: [],
    requests: [],
    openAnswers: () => open.size,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return state;
}

function answer(
  { files, faults, requests }: FileServer,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const path = decodeURIComponent(new URL(request.url!, "http://x").pathname);
  requests.push({ path, range: request.headers.range, headers: request.headers });
  const fault = faults.shift();
  response.setHeader("Access-Control-Allow-Origin", "*");
  response.setHeader("Access-Control-Expose-Headers", "ETag, Content-Range");
  if (fault && "status" in fault) {
    response.writeHead(fault.status, fault.headers).end(fault.body);
    return;
  }
  if (fault && "dropAfter" in fault && fault.dropAfter < 0) {
    request.socket.destroy();
    return;
  }
  if (fault && "stallAfter" in fault && fault.stallAfter < 0) return;
  const file = files.get(path);
  if (!file) response.writeHead(404, { "Content-Type": "text/html" }).end("<html>no such file</html>");
  else if (file.redirect !== undefined) response.writeHead(302, { Location: file.redirect }).end();
  else send(file, fault, request, response);
}

function send(
  file: ServedFile,
  fault: Fault | undefined,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const { bytes, etag, lastModified, type = "application/octet-stream", ranges = true, sized = true } = file;
  const range = ranges ? /^bytes=(\d+)-(\d+)?$/.exec(request.headers.range ?? "") : null;
  const begin = Number(range?.[1] ?? 0);
  const most = fault && "endAfter" in fault ? begin + fault.endAfter : bytes.length;
  const end = Math.min(Number(range?.[2] ?? bytes.length - 1) + 1, most, bytes.length);
  response.setHeader("Content-Type", type);
  if (etag) response.setHeader("ETag", etag);
  if (lastModified) response.setHeader("Last-Modified", lastModified);
  if (range && begin >= bytes.length) {
    response.writeHead(416, { "Content-Range": `bytes */${bytes.length}` }).end();
    return;
  }
  if (range) response.setHeader("Content-Range", `bytes ${begin}-${end - 1}/${bytes.length}`);
  if (fault && "contentRange" in fault) response.setHeader("Content-Range", fault.contentRange);
  if (sized) response.setHeader("Content-Length", end - begin);
  response.writeHead(range ? 206 : 200);
  const body = bytes.subarray(begin, end);
  if (fault && "dropAfter" in fault) {
    response.write(body.subarray(0, fault.dropAfter), () => request.socket.destroy());
  } else if (fault && "stallAfter" in fault) {
    response.write(body.subarray(0, fault.stallAfter));
  } else {
    response.end(body);
  }
}
