import { readFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { load } from "../runtime/index.js";
import { cria, criaInProcess, finished, makeModels, startCria } from "../test/cria-program.js";
import { sharedData } from "../test/shared-data.js";

const models = await makeModels();
afterAll(() => models.remove());
const { model, bare, slow } = models;

describe("cria run", () => {
  it("writes the prompt and its continuation to stdout, the seed and the speed to stderr", async () => {
    const { text } = await (await load(model)).generate("ab c", { seed: 3, maxTokens: 20 });
    const { code, stdout, stderr } = await cria(["run", model, "-p", "ab c", "-n", "20", "--seed", "3"]);
    expect(code).toBe(0);
    expect(stdout).toBe(`ab c${text}\n`);
    expect(stderr).toMatch(/seed 3;.*\n.*tokens\/s/);
  });

  it("with --json writes one object to stdout: the continuation and how it came about", async () => {
    const options = { temperature: 0.5, topK: 30, topP: 0.9, seed: 7, maxTokens: 12 };
    const expected = await (await load(model)).generate("ab c", options);
    const flags = ["--temperature", "0.5", "--top-k", "30", "--top-p", "0.9", "--seed", "7", "-n", "12"];
    const { code, stdout } = await cria(["run", "-p", "ab c", "--json", ...flags, model]);
    expect(code).toBe(0);
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({
      text: expected.text,
      tokens: expected.tokens,
      promptTokens: expected.promptTokens,
      finishReason: expected.finishReason,
      seed: 7,
      threads: 1,
      layout: "f32",
      endedBy: expected.endedBy,
    });
    expect(["simd", "relaxed", "relaxed16"]).toContain(result.build);
    const { timings } = result;
    expect(Object.keys(timings).sort()).toEqual(
      ["decodeMs", "decodeTokensPerSecond", "loadMs", "promptMs", "promptTokensPerSecond"].sort(),
    );
    for (const value of Object.values(timings)) expect(value).toBeGreaterThan(0);
  });

  it("shows a random seed that writes the same text again", async () => {
    const first = await criaInProcess(["run", model, "-p", "a"]);
    const seed = /seed (\d+)/.exec(first.stderr)![1]!;
    expect((await criaInProcess(["run", model, "-p", "a", "--seed", seed])).stdout).toBe(first.stdout);
  });

  it("takes a prompt that begins with a dash, even --help, as it is", async () => {
    for (const prompt of ["-x", "--help", "--"]) {
      const { code, stdout } = await criaInProcess(["run", model, "-p", prompt, "-n", "0"]);
      expect([code, stdout]).toEqual([0, `${prompt}\n`]);
    }
  });

  it("feeds the beginning of text alone for an empty prompt, and for none", async () => {
    for (const prompt of [["-p", ""], []]) {
      const { stdout } = await criaInProcess([
        "run",
        model,
        ...prompt,
        "-n",
        "1",
        "--json",
        "--build",
        "simd",
      ]);
      expect(JSON.parse(stdout)).toMatchObject({ promptTokens: [1], build: "simd" });
    }
  });

  it("feeds ids as they are, and does not show them", async () => {
    const ids = [5, 9, 300];
    const { text } = await (await load(model)).generate(ids, { temperature: 0, maxTokens: 9 });
    const args = ["run", model, "--prompt-tokens", "5,9,300", "--temperature", "0", "-n", "9"];
    expect((await criaInProcess(args)).stdout).toBe(`${text}\n`);
    expect(JSON.parse((await criaInProcess([...args, "--json"])).stdout).promptTokens).toEqual(ids);
  });

  it("writes ids where the vocabulary makes no text, and says so", async () => {
    const { tokens } = await (await load(bare)).generate([5, 9], { temperature: 0, maxTokens: 9 });
    const args = ["run", bare, "--prompt-tokens", "5,9", "--temperature", "0", "-n", "9"];
    const { code, stdout, stderr } = await criaInProcess(args);
    expect([code, stdout]).toEqual([0, `${tokens.join(" ")}\n`]);
    expect(stderr).toContain("token ids are written instead of text");
    expect(JSON.parse((await criaInProcess([...args, "--json"])).stdout)).toMatchObject({ text: "", tokens });
    // another file's vocabulary makes text of them
    expect((await criaInProcess([...args, "--tokenizer", model])).stdout).toBe(
      (await criaInProcess(["run", model, ...args.slice(2)])).stdout,
    );
  });

  it("writes the same with any number of threads, and tells how many it has taken", async () => {
    const args = ["run", "-p", "Once upon a time", "-n", "40", "--seed", "5", "--json"];
    const texts = [];
    for (const threads of [1, 2, 4]) {
      const { code, stdout } = await cria([...args, "--threads", String(threads)]);
      const result = JSON.parse(stdout);
      expect([code, result.threads]).toEqual([0, threads]);
      texts.push(result.text);
    }
    expect(new Set(texts).size).toBe(1);
  });

  const endless = ["run", slow, "--prompt-tokens", "5", "--temperature", "0", "-n", "100000"];

  it("ends silently, with exit code 0, when nobody reads on", async () => {
    const child = startCria(endless);
    const end = finished(child);
    child.stdout.once("data", () => child.stdout.destroy());
    const began = performance.now();
    expect(await end).toMatchObject({ code: 0, stderr: "" });
    expect(performance.now() - began).toBeLessThan(15_000);
  });

  it("stops at Ctrl-C with exit code 130, a line's end after the text, and the seed", async () => {
    const child = startCria(endless);
    const end = finished(child);
    child.stdout.once("data", () => child.kill("SIGINT"));
    const { code, stdout, stderr } = await end;
    expect(code).toBe(130);
    expect(stdout).toMatch(/.\n$/s);
    expect(stderr).toMatch(/^seed \d+; interrupted after \d+ tokens?\n$/);
  });

  it("stops at Ctrl-C before the first token as well, with nothing on stdout", async () => {
    const prompt = Array(4000).fill(5).join(",");
    const child = startCria(["run", slow, "--prompt-tokens", prompt, "--json"]);
    const end = finished(child);
    setTimeout(() => child.kill("SIGINT"), 1000); // it computes for seconds
    expect(await end).toMatchObject({ code: 130, stdout: "" });
  });
});

const folder = sharedData("models/stories260K");

describe.skipIf(!folder)("cria run on stories260K", () => {
  // greedy-n200.txt was printed by karpathy's run.c
  it.each([
    ["stories260K.gguf", []],
    ["stories260K.bin", ["--tokenizer", `${folder}/tok512.bin`]],
    ["stories260K.bin", ["--tokenizer", `${folder}/tok512.model`]],
  ])("%s writes what run.c writes %j", async (name, options) => {
    const args = ["run", `${folder}/${name}`, "--temperature", "0", "-n", "200", ...options];
    const golden = readFileSync(`${folder}/greedy-n200.txt`, "utf8").trimEnd();
    expect(await cria(args)).toMatchObject({ code: 0, stdout: `${golden}\n` });
  });
});
