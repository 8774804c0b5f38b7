// Browsers as they are installed, without a driver: they are started with an address, and its page posts what it has to report.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { type Site, serve } from "../bench/static-server.js";
import { hasChromium } from "./chromium.js";

/** Chromium where it is, and those that CRIA_BROWSERS names, paths between colons: Firefox, and WebKitGTK's MiniBrowser, which needs Xvfb. */
export const browsers: readonly string[] = [
  ...(hasChromium ? ["/usr/bin/chromium"] : []),
  ...(process.env.CRIA_BROWSERS ?? "").split(":").filter(Boolean),
];

/** How a browser is started on a page, in a fresh profile. */
function commandFor(browser: string, profile: string, url: string): readonly [string, ...string[]] {
  const name = basename(browser);
  if (name.startsWith("firefox")) return [browser, "--headless", "--no-remote", "--profile", profile, url];
  if (name === "MiniBrowser") return ["xvfb-run", "-a", browser, url];
  const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"];
  return [browser, ...flags, `--user-data-dir=${profile}`, url];
}

/**
 * What the module script of a page posts, as JSON, to the address "/" of its site; `postReport(value)` is defined for it, and its errors are
 * reported by themselves. Rejects for these, and when the browser ends or takes longer than `patienceMs`.
 */
export async function reportIn(
  browser: string,
  { head = "", script, ...site }: { head?: string; script: string } & Omit<Site, "html" | "onPost">,
  patienceMs: number,
): Promise<unknown> {
  const html = `<!doctype html>${head}
    <script>
      const postReport = (value) => fetch("/", { method: "POST", body: JSON.stringify(value) });
      addEventListener("error", ({ message }) => postReport({ error: message }));
      addEventListener("unhandledrejection", ({ reason }) => postReport({ error: String(reason?.stack ?? reason) }));
    </script>
    <script type="module">${script}</script>`;
  let post!: (text: string) => void;
  const posted = new Promise<string>((resolve) => {
    post = resolve;
  });
  const server = await serve({ ...site, html, onPost: post });
  const { port } = server.address() as AddressInfo;
  const profile = await mkdtemp(join(tmpdir(), "cria-browser-"));
  const [command, ...args] = commandFor(browser, profile, `http://localhost:${port}/`);
  // WebKitGTK has shared memory only where it is told to
  const env = { ...process.env, HOME: profile, JSC_useSharedArrayBuffer: "true" };
  const started = spawn(command, args, { env, detached: true, stdio: "ignore" });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const failed = new Promise<never>((_, reject) => {
    const fail = (found: string) => reject(new Error(`expected a report from ${browser}, found ${found}`));
    started.once("error", reject);
    started.once("exit", () => fail("that it has ended"));
    timer = setTimeout(() => fail(`none in ${patienceMs} ms`), patienceMs);
  });
  try {
    const value = JSON.parse(await Promise.race([posted, failed]));
    if (value?.error) throw new Error(`expected a report from ${browser}, found an error: ${value.error}`);
    return value;
  } finally {
    clearTimeout(timer);
    if (started.pid !== undefined) {
      try {
        process.kill(-started.pid, "SIGKILL");
      } catch {} // it has ended by itself
    }
    server.close();
    server.closeAllConnections();
    await rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}
