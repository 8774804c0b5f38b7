import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { type Browser, type BrowserContext, chromium } from "playwright-core";

/** Where Debian puts it. Nothing is downloaded for the tests: those that need a browser are skipped where there is none. */
const executablePath = "/usr/bin/chromium";

export const hasChromium = existsSync(executablePath);

const args = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"];

export function launchChromium(): Promise<Browser> {
  return chromium.launch({ executablePath, args });
}

/** With an unpacked extension, in a profile of its own. */
export function launchWithExtension(folder: string): Promise<BrowserContext> {
  return chromium.launchPersistentContext("", {
    executablePath,
    args: [...args, `--disable-extensions-except=${folder}`, `--load-extension=${folder}`],
    ignoreDefaultArgs: ["--disable-extensions"],
  });
}

/** Where the files of an unpacked extension are: its name is the folder's hash, in the letters a to p. */
export function extensionUrl(folder: string): string {
  const digits = createHash("sha256").update(folder).digest("hex").slice(0, 32);
  const id = digits.replace(/./g, (digit) => "abcdefghijklmnop"[Number.parseInt(digit, 16)]!);
  return `chrome-extension://${id}/`;
}
