import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { openModelTokenizer } from "../../runtime/index.js";
import { serve } from "../static-server.js";
import type { BrowserEngine, BrowserJob, Speed } from "./browser-page.js";
import { inThreads, type Job, type Measured, root } from "./contestants.js";

const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"];

/** One engine in a Chromium of its own, on a page with threads. */
export async function inChromium(executablePath: string, engine: BrowserEngine, job: Job): Promise<Measured> {
  const server = await serve({ html, folders, files: { "/model.gguf": job.model } });
  const browser = await chromium.launch({ executablePath, args: flags });
  try {
    const page = await browser.newPage();
    const problems: string[] = [];
    page.on("pageerror", (error) => problems.push(error.message));
    page.on("crash", () => problems.push("the page crashed"));
    await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/`);
    await page.waitForFunction("globalThis.measure");
    const browserJob: BrowserJob = {
      engine,
      prompt: job.prompt,
      passes: job.passes,
      threads: job.threads,
      texts: [await textOf(job, "house"), await textOf(job, "time")],
    };
    const {
      engine: name,
      threads,
      values,
    } = await page
      .evaluate((given) => {
        const { measure } = globalThis as unknown as { measure: (job: BrowserJob) => Promise<Speed> };
        return measure(given);
      }, browserJob)
      .catch((cause) => {
        throw new Error(`${engine} in Chromium: ${cause.message} ${problems.join("; ")}`, { cause });
      });
    return { values, engine: `${name}, Chromium ${browser.version()}, ${inThreads(threads)}` };
  } finally {
    await browser.close();
    server.close();
    server.closeAllConnections();
  }
}

/** A text of as many tokens as the job's prompt, counting the one that begins texts: a word again and again. */
async function textOf({ model, prompt }: Job, word: string): Promise<string> {
  const tokenizer = await openModelTokenizer(model);
  const text = (words: number) => Array(words).fill(word).join(" ");
  let words = prompt;
  while (words > 1 && tokenizer.encode(text(words)).length > prompt - 1) words--;
  return text(words);
}

const html = `<!doctype html>
<title>cria and its peers</title>
<script type="importmap">
  { "imports": { "@assemblyscript/loader": "/repo/node_modules/@assemblyscript/loader/index.js" } }
</script>
<script type="module" src="/page/browser-page.js"></script>
`;

const here = fileURLToPath(new URL(".", import.meta.url));
/** What is served, by the first part of the path. */
const folders: Readonly<Record<string, string>> = {
  repo: root,
  page: here,
  modules: `${root}bench/peers/node_modules/`,
};
