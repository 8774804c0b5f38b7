import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { load } from "../runtime/index.js";
import { cria, finished, makeModels, startCria } from "../test/cria-program.js";

const models = await makeModels();
afterAll(() => models.remove());
const { model, slow } = models;
const flags = ["--temperature", "0", "-n", "5"];
const options = { temperature: 0, maxTokens: 5 } as const;

/** What the model answers, one message after the other, as the program shows it. */
async function answers(system: string | undefined, ...texts: string[]): Promise<string[]> {
  const chat = (await load(model)).chat({ system });
  const shown: string[] = [];
  for (const text of texts) shown.push((await chat.send(text, options)).text.trimStart());
  return shown;
}

describe("cria chat", () => {
  it("answers line by line on stdout, and remembers what was said", async () => {
    const { code, stdout, stderr } = await cria(["chat", model, ...flags], "a\n\nb\n");
    expect([code, stdout]).toEqual([
      0,
      (await answers(undefined, "a", "b")).map((text) => `${text}\n`).join(""),
    ]);
    expect(stderr).toContain("-n 5 was reached");
  });

  it("takes a system message, a format, and the last line without its end", async () => {
    const [answer] = await answers("b", "a");
    expect((await cria(["chat", model, "--system", "b", ...flags], "a")).stdout).toBe(`${answer}\n`);
    const chat = (await load(model)).chat({ format: "zephyr" });
    const { text } = await chat.send("a", options);
    expect((await cria(["chat", model, "--format", "zephyr", ...flags], "a")).stdout).toBe(
      `${text.trimStart()}\n`,
    );
  });

  it("obeys /reset, /system, /help and /exit", async () => {
    const { stdout, stderr } = await cria(
      ["chat", model, ...flags],
      "a\n/reset\na\n/reset\n/system b\na\n/help\n/exit\na\n",
    );
    const [plain] = await answers(undefined, "a");
    const [withSystem] = await answers("b", "a");
    expect(stdout).toBe(`${plain}\n${plain}\n${withSystem}\n`);
    expect(stderr).toContain("/save FILE");
  });

  it("saves a conversation and goes on with it", async () => {
    const path = join(models.path, "chat.json");
    const saved = await cria(["chat", model, ...flags], `a\n/save ${path}\n`);
    expect(saved.code).toBe(0);
    const { messages } = JSON.parse(await readFile(path, "utf8"));
    const [first] = await answers(undefined, "a");
    expect(messages.map(({ role }: { role: string }) => role)).toEqual(["user", "assistant"]);
    expect(messages[1].content.trimStart()).toBe(first);
    const { stdout } = await cria(["chat", model, ...flags], `/load ${path}\nc\n`);
    const next = (await load(model)).chat({ messages });
    expect(stdout).toBe(`${(await next.send("c", options)).text.trimStart()}\n`);
  });

  it("says in a line what it can't do, and goes on", async () => {
    const path = join(models.path, "other.json");
    await writeFile(path, '{"messages": [{"role": "wizard", "content": "x"}]}');
    const lines = [
      "/dance",
      "/save",
      `/load ${join(models.path, "none.json")}`,
      `/load ${path}`,
      `/load ${model}`,
      "é".repeat(300),
      "a",
    ];
    const { code, stdout, stderr } = await cria(["chat", model, ...flags], lines.join("\n"));
    expect(code).toBe(0);
    expect(stdout.trim()).toBe((await answers(undefined, "a"))[0]!.trim());
    for (const problem of ["/dance", "name of a file", "none.json", "role", "no JSON", "at most 64 tokens"]) {
      expect(stderr).toMatch(new RegExp(`^cria: .*${problem}`, "m"));
    }
  });

  it("stops an answer at Ctrl-C, and leaves at the next one with exit code 130", async () => {
    const child = startCria([
      "chat",
      slow,
      "--temperature",
      "0",
      "-n",
      "100000",
      "--logit-bias",
      "1=-inf",
      "--logit-bias",
      "2=-inf",
    ]);
    const end = finished(child);
    child.stdin.write("a\n");
    await new Promise((resolve) => child.stdout.once("data", resolve));
    child.kill("SIGINT");
    // it is back when it obeys
    child.stdin.write("/help\n");
    await new Promise((resolve) => child.stderr.once("data", resolve));
    child.kill("SIGINT");
    const { code, stdout, stderr } = await end;
    expect(code).toBe(130);
    expect(stdout).toMatch(/.\n$/s);
    expect(stderr).toContain("/save FILE");
    expect(stderr).not.toContain("cria:");
  });
});
