// The examples run, on what `npm test` has built, and do what they say.

import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { serve } from "../bench/static-server.js";
import { load, type Model } from "../runtime/index.js";
import { hasChromium, launchChromium } from "../test/chromium.js";
import { root, runNode } from "../test/program-folder.js";

const prompt = "One day, Tom went to the park.";

let model: Model;
beforeAll(async () => {
  model = await load();
});
afterAll(() => model.dispose());

const run = (name: string, ...args: string[]) => runNode([join(root, "examples", name), ...args], root);

it("embed.mjs writes a text of 60 tokens", async () => {
  const { stdout, stderr } = await run("embed.mjs");
  const { text } = await model.generate("One day, a little cat", {
    maxTokens: 60,
    temperature: 0.8,
    seed: 7,
  });
  expect(stdout).toBe(text);
  expect(stderr).toContain("60 tokens, ended by length");
});

it("worker.mjs writes in a worker, while the main thread goes on", async () => {
  const { stdout, stderr } = await run("worker.mjs", prompt);
  expect(stdout).toBe((await model.generate(prompt, { maxTokens: 60, temperature: 0.8, seed: 7 })).text);
  expect(stderr).toMatch(/60 tokens; the main thread paused for \d+ ms at most/);
});

describe("logit-lens.mjs", () => {
  it("shows for each layer and token a token and its probability, the last layer's as the model's logits have them", async () => {
    const { stdout } = await run("logit-lens.mjs", prompt);
    const rows = stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.trim().split(/\s{2,}/));
    const ids = model.tokenize(prompt);
    const { nLayers } = model.config;
    expect(rows.map((row) => row.length)).toEqual([ids.length, ...Array(nLayers).fill(ids.length + 1)]);
    expect(rows[0]).toEqual(ids.map((id) => model.tokenizer.piece(id)));
    expect(rows.slice(1).map(([name]) => name)).toEqual(["layer 3", "layer 2", "layer 1", "layer 0"]);

    const expected: string[] = [];
    for await (const logits of model.logits(ids, { from: 0 })) {
      const id = logits.indexOf(Math.max(...logits));
      const probability = 1 / logits.reduce((sum, logit) => sum + Math.exp(logit - logits[id]!), 0);
      expected.push(`${model.tokenizer.piece(id)} ${Math.round(100 * probability)}%`);
    }
    expect(rows[1]!.slice(1)).toEqual(expected);
    // an early layer knows less than the last one: it would say something else somewhere
    expect(rows.at(-1)!.slice(1)).not.toEqual(expected);
  });
});

it("steer.mjs makes a plain text a sad one", async () => {
  const { stdout } = await run("steer.mjs", prompt);
  const [, without, steered] = /^without: ([\s\S]*)\n\nwith: ([\s\S]*)\n$/.exec(stdout)!;
  expect(without).toBe(prompt + (await model.generate(prompt, { temperature: 0, maxTokens: 50 })).text);
  expect(without).not.toMatch(/\bsad\b|cry/);
  expect(steered).toMatch(/^One day, Tom went to the park\./);
  expect(steered).toMatch(/\bsad\b/);
});

it.skipIf(!hasChromium)("page.html writes in Chromium what Node writes", async () => {
  const server = await serve({ html: "", folders: { repo: root } });
  const browser = await launchChromium();
  try {
    const page = await browser.newPage();
    const failures: string[] = [];
    page.on("pageerror", (error) => failures.push(String(error)));
    await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/repo/examples/page.html`);
    await page.fill("[name=prompt]", prompt);
    await page.click("text=Write");
    await page.waitForFunction(`/^done|^stopped|Cannot/.test(document.getElementById("status").textContent)`);
    expect(failures).toEqual([]);
    expect(await page.textContent("#status")).toMatch(/^done: \d+ tokens\/s$/);
    const { text } = await model.generate(prompt, { maxTokens: 100, seed: 1 });
    expect(await page.textContent("#text")).toBe(prompt + text);
  } finally {
    await browser.close();
    server.close();
    server.closeAllConnections();
  }
});
