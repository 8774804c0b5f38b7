// The page by keyboard, by ear, in both themes and on a phone.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import type axe from "axe-core";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type BuiltPage,
  buildPage,
  type Host,
  screenshot,
  setSampling,
  visit,
  whenIdle,
  writeText,
  writtenText,
} from "../test/built-page.js";
import { hasChromium, launchChromium } from "../test/chromium.js";

const axePath = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const phone = { width: 360, height: 740 };
const desk = { width: 1200, height: 860 };

/** The id of what has the focus, or else its text. */
const focused = (page: Page) =>
  page.evaluate(() => document.activeElement?.id || document.activeElement?.textContent?.trim());

/** Presses Tab until an element with the id has the focus; fails when it is not reached. */
async function tabTo(page: Page, id: string): Promise<void> {
  for (let presses = 0; presses < 40; presses++) {
    if ((await focused(page)) === id) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`#${id} is not reached by Tab`);
}

describe.skipIf(!hasChromium)("the page", () => {
  let built: BuiltPage;
  let host: Host;
  let browser: Browser;
  beforeAll(async () => {
    built = await buildPage();
    host = await built.host();
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser?.close();
    host?.close();
    await built?.remove();
  });

  it("is used by keyboard alone: write, walk through the tokens, take another one, change tabs", async () => {
    const { page } = await visit(browser, host.url, { viewport: desk });
    await page.keyboard.press("Tab");
    expect(await focused(page)).toBe("Skip to the text");
    await page.keyboard.press("Enter");
    await tabTo(page, "prompt");
    await page.keyboard.press("Control+A");
    await page.keyboard.type("The little dog");
    await page.keyboard.press("Control+Enter");
    await page.locator("#write-text .token").first().waitFor();
    await whenIdle(page, "#write-button", "Write");

    await tabTo(page, "write-text");
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    expect(await page.locator(".token.current").textContent()).toBe(
      await page.locator("#write-text .token").nth(1).textContent(),
    );
    // what the eye sees beside the token is said as well
    expect(await page.textContent("#spoken")).toMatch(/^\S+, [\d.]+ %; instead: (\S+ (< )?[\d.]+ %(, )?)+$/);
    await page.keyboard.press("Escape");
    expect(await page.isVisible("#alternatives")).toBe(false);

    await page.keyboard.press("Home");
    const first = await page.locator("#write-text .token").first().textContent();
    await page.keyboard.press("Enter");
    await page.keyboard.press("Enter"); // the first alternative
    await page.waitForFunction(
      (before) => document.querySelector("#write-text .token")?.textContent !== before,
      first,
    );
    await whenIdle(page, "#write-button", "Write");
    expect(await focused(page)).toBe("write-text");
    expect(await writtenText(page)).not.toBe("");

    await page.focus("#tab-write");
    await page.keyboard.press("ArrowRight");
    expect(await focused(page)).toBe("tab-chat");
    expect(await page.isVisible("#chat-form")).toBe(true);
    await page.keyboard.press("End");
    expect(await focused(page)).toBe("tab-kernels");
    await page.keyboard.press("ArrowRight");
    expect(await focused(page)).toBe("tab-write");
    await page.context().close();
  });

  it("is read out politely, in sentences and not in tokens", async () => {
    const { page } = await visit(browser, host.url);
    await page.evaluate(() => {
      const said: string[] = [];
      Object.assign(globalThis, { said });
      const region = document.querySelector("#spoken")!;
      new MutationObserver(() => said.push(region.textContent!)).observe(region, { childList: true });
    });
    await setSampling(page, { temperature: 0, maxTokens: 80 });
    const text = await writeText(page, "Once upon a time");
    const said = await page.evaluate(() => (globalThis as unknown as { said: string[] }).said);
    expect(await page.getAttribute("#spoken", "aria-live")).toBe("polite");
    expect(said.join("").trim()).toBe(text.trim());
    expect(said.length).toBeLessThan(15);
    for (const part of said.slice(0, -1)) expect(part).toMatch(/[.!?]["']?\s$/);
    await page.context().close();
  });

  for (const [name, options] of [
    ["light", { viewport: desk, colorScheme: "light" }],
    ["dark", { viewport: desk, colorScheme: "dark" }],
    ["phone", { viewport: phone, colorScheme: "light", hasTouch: true }],
    ["phone-dark", { viewport: phone, colorScheme: "dark", hasTouch: true }],
  ] as const) {
    it(`has no faults that axe finds, and nothing that sticks out: ${name}`, async () => {
      const { page } = await visit(browser, host.url, { ...options, bypassCSP: true });
      await page.evaluate(await readFile(axePath, "utf8"));
      await setSampling(page, { maxTokens: 120 });
      await writeText(page, "Once upon a time");
      await page.locator("#write-text .token.p2").first().hover();
      await page.locator("#alternatives").waitFor();
      await expectSound(page, `${name}-write`);
      await page.keyboard.press("Escape");

      await page.click("#tab-chat");
      await page.fill("#message", "Hello");
      await page.press("#message", "Enter");
      await whenIdle(page, "#chat-button", "Send");
      await page.click("summary");
      await expectSound(page, `${name}-chat`);

      await page.click("#tab-kernels");
      await expectSound(page, `${name}-kernels`);
      await page.context().close();
    }, 60_000);
  }
});

/** Takes a picture, and expects no violations of WCAG 2.2 AA and no need to scroll sideways. */
async function expectSound(page: Page, name: string): Promise<void> {
  await screenshot(page, name);
  const { violations } = await page.evaluate(() =>
    (globalThis as unknown as { axe: typeof axe }).axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    }),
  );
  const found = violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 120)} ${failureSummary}`),
  );
  expect(found, name).toEqual([]);
  const { scrollWidth, clientWidth } = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    return { scrollWidth, clientWidth };
  });
  expect(scrollWidth, name).toBeLessThanOrEqual(clientWidth);
}
