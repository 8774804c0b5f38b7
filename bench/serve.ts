// Serves the page that measures a browser: `node dist/bench/serve.js`, then open the address that it prints.

import { readFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { serve } from "./static-server.js";

const { values } = parseArgs({ options: { port: { type: "string", default: "8080" } } });
const port = Number(values.port);
if (!/^\d+$/.test(values.port) || port > 65_535) {
  throw new RangeError(`--port: expected an integer, 65535 or less, found ${values.port}`);
}
const root = fileURLToPath(new URL("../..", import.meta.url));
const html = await readFile(`${root}bench/page.html`, "utf8");
const folders = { repo: root, modules: `${root}node_modules/` };
const server = await serve({ html, folders }, port);
console.log(`http://localhost:${(server.address() as AddressInfo).port}/`);
