import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { extname, normalize } from "node:path";
import { text } from "node:stream/consumers";

/** What a server has: a page at "/", files by their whole paths, and folders by the first part of theirs. */
export interface Site {
  readonly html: string;
  readonly files?: Readonly<Record<string, string>>;
  /** Folders on disk, with a slash at the end. */
  readonly folders: Readonly<Record<string, string>>;
  /** Of every answer. Default: those that a page needs to have threads. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Told what a page posts to any address. Default: it is not taken. */
  readonly onPost?: (text: string) => void;
}

const isolation = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

const types: Readonly<Record<string, string>> = {
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

/** A server for this machine alone. On any free port, where none is given. */
export async function serve(site: Site, port = 0): Promise<Server> {
  const server = createServer((request, response) => {
    const path = pathOf(request.url ?? "");
    for (const [name, value] of Object.entries(site.headers ?? isolation)) response.setHeader(name, value);
    if (request.method === "POST") void receive(request, response, site.onPost);
    else if (path === "/") {
      response.setHeader("Content-Type", types[".html"]!).end(site.html);
    } else {
      void send(response, site.files?.[path] ?? inFolder(site, path));
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "localhost", resolve);
  });
  return server;
}

/** The path on its own, dots resolved; "" for one that is none. */
function pathOf(url: string): string {
  try {
    return normalize(decodeURIComponent(new URL(url, "http://localhost").pathname));
  } catch {
    return "";
  }
}

function inFolder({ folders }: Site, path: string): string | undefined {
  const [, folder = "", rest = ""] = /^\/([^/]+)\/(.*)$/.exec(path) ?? [];
  return Object.hasOwn(folders, folder) ? `${folders[folder]}${rest}` : undefined;
}

async function receive(
  request: IncomingMessage,
  response: ServerResponse,
  onPost: Site["onPost"],
): Promise<void> {
  if (!onPost) {
    response.writeHead(405, { Connection: "close" }).end();
    return;
  }
  const posted = await text(request).catch(() => undefined); // who posted it has gone away
  if (posted !== undefined) onPost(posted);
  response.writeHead(204).end();
}

async function send(response: ServerResponse, file: string | undefined): Promise<void> {
  const found = file === undefined ? undefined : await stat(file).catch(() => undefined);
  if (file === undefined || !found?.isFile()) {
    response.writeHead(404).end();
    return;
  }
  response.setHeader("Content-Type", types[extname(file)] ?? "application/octet-stream");
  response.setHeader("Content-Length", found.size);
  createReadStream(file)
    .on("error", () => response.destroy())
    .pipe(response);
}
