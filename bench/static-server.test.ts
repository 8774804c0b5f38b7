import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { serve } from "./static-server.js";

const folder = await mkdtemp(join(tmpdir(), "cria-server-"));
await mkdir(join(folder, "open"));
await writeFile(join(folder, "open", "a.js"), "export const a = 1;\n");
await writeFile(join(folder, "secret"), "secret");
const server = await serve({
  html: "<p>page",
  folders: { open: `${join(folder, "open")}/` },
  files: { "/model.gguf": join(folder, "secret") },
});
afterAll(async () => {
  server.close();
  await rm(folder, { recursive: true });
});

/** Asks for a path as it is written: fetch() would resolve its dots. */
async function get(
  path: string,
): Promise<{ status: number; body: string; headers: IncomingMessage["headers"] }> {
  const { port } = server.address() as AddressInfo;
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    request({ port, path, host: "localhost", agent: false }, resolve).once("error", reject).end();
  });
  let body = "";
  for await (const chunk of answer) body += chunk;
  return { status: answer.statusCode!, body, headers: answer.headers };
}

it("serves the page, files and folders, with the headers that threads need", async () => {
  expect(await get("/")).toMatchObject({ status: 200, body: "<p>page" });
  const script = await get("/open/a.js");
  expect(script.status).toBe(200);
  expect(script.body).toBe("export const a = 1;\n");
  expect(script.headers).toMatchObject({
    "content-type": "text/javascript",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
  });
  expect(await get("/model.gguf?x")).toMatchObject({ body: "secret", headers: { "content-length": "6" } });
});

it("takes what is posted for who wants it, and else not at all", async () => {
  const address = (of: typeof server) => `http://localhost:${(of.address() as AddressInfo).port}/`;
  expect((await fetch(address(server), { method: "POST", body: "{}" })).status).toBe(405);
  const posted: string[] = [];
  const taking = await serve({ html: "", folders: {}, onPost: (text) => posted.push(text) });
  expect((await fetch(address(taking), { method: "POST", body: "a report" })).status).toBe(204);
  expect(posted).toEqual(["a report"]);
  taking.close();
  taking.closeAllConnections();
});

it.each([
  "/open/../secret",
  "/open/%2e%2e/secret",
  "/open/%2e%2e%2fsecret",
  "/open/",
  "/open",
  "/none/a.js",
  "/__proto__/a",
  "/constructor",
  "/%",
  "/%00",
])("serves nothing else: %s", async (path) => {
  expect(await get(path)).toMatchObject({ status: 404, body: "" });
});
