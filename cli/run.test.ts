import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { load } from "../runtime/index.js";
import { cria, criaInProcess, finished, makeModels, startCria } from "../test/cria-program.js";
import { startFileServer } from "../test/file-server.js";
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

  it("takes a model by its address, and with --keep is without the server the next time", async () => {
    const server = await startFileServer({ "/m.gguf": { bytes: readFileSync(model), etag: '"1"' } });
    const folder = mkdtempSync(join(tmpdir(), "cria-keep-"));
    const sampling = ["-p", "ab c", "-n", "20", "--seed", "3"];
    const { stdout: expected } = await cria(["run", model, ...sampling]);
    const args = ["run", `${server.url}/m.gguf`, ...sampling];
    expect((await cria(args)).stdout).toBe(expected);
    expect((await cria([...args, "--keep", folder])).stdout).toBe(expected);
    await server.close();
    expect((await cria([...args, "--keep", folder])).stdout).toBe(expected);
    const { code, stderr } = await cria(["run", model, "--keep", folder]);
    expect([code, stderr]).toEqual([2, expect.stringMatching(/--keep: expected a model on the web, found /)]);
    rmSync(folder, { recursive: true });
  });

  it("takes every option of sampling, and hands it on", async () => {
    const options = {
      temperature: 0.9,
      topK: 50,
      topP: 0.9,
      minP: 0.01,
      typicalP: 0.95,
      topNSigma: 3,
      xtc: { probability: 0.4, threshold: 0.05 },
      repetitionPenalty: 1.2,
      frequencyPenalty: -0.1,
      presencePenalty: 0.3,
      penaltyLastN: 10,
      dry: { multiplier: 1, base: 1.5, allowedLength: 1, lastN: 30, sequenceBreakers: ["x", "\n"] },
      logitBias: { 40: -Infinity, 41: 2.5 },
      seed: 9,
      maxTokens: 20,
    };
    const flags =
      "--temperature 0.9 --top-k 50 --top-p 0.9 --min-p 0.01 --typical-p 0.95 --top-n-sigma 3 --xtc-probability 0.4 " +
      "--xtc-threshold 0.05 --repetition-penalty 1.2 --frequency-penalty -0.1 --presence-penalty 0.3 " +
      "--penalty-last-n 10 --dry-multiplier 1 --dry-base 1.5 --dry-allowed-length 1 --dry-last-n 30 " +
      "--dry-breaker x --dry-breaker=\n --logit-bias 40=-inf --logit-bias 41=2.5 --seed 9 -n 20";
    const loaded = await load(model);
    const expected = await loaded.generate("ab c", options);
    const plain = await loaded.generate("ab c", { seed: 9, maxTokens: 20 });
    expect(expected.tokens).not.toEqual(plain.tokens);
    const run = async (args: string[]) =>
      JSON.parse((await criaInProcess(["run", model, "-p", "ab c", "--json", ...args])).stdout).tokens;
    expect(await run(flags.split(" "))).toEqual(expected.tokens);

    const mirostat = { mirostat: { tau: 3, eta: 0.2 }, seed: 9, maxTokens: 20 };
    expect(await run("--mirostat-tau 3 --mirostat-eta 0.2 --seed 9 -n 20".split(" "))).toEqual(
      (await loaded.generate("ab c", mirostat)).tokens,
    );
  });

  it("stops where a --stop text would begin, and says so", async () => {
    const loaded = await load(model);
    const { text } = await loaded.generate("ab c", { seed: 3, maxTokens: 20 });
    const stop = text.slice(5, 7);
    const args = [
      "run",
      model,
      "-p",
      "ab c",
      "-n",
      "20",
      "--seed",
      "3",
      "--stop",
      "never there",
      "--stop",
      stop,
    ];
    const { stdout, stderr } = await criaInProcess(args);
    expect(stdout).toBe(`ab c${text.slice(0, text.indexOf(stop))}\n`);
    expect(stderr).toContain(`${JSON.stringify(stop)} would have followed`);
    const { endedBy, stopString, usage } = JSON.parse((await criaInProcess([...args, "--json"])).stdout);
    expect([endedBy, stopString]).toEqual(["stopString", stop]);
    expect(usage.totalTokens).toBe(usage.promptTokens + usage.completionTokens);
  });

  it("with --logprobs tells how likely the tokens and the likeliest ones were", async () => {
    const loaded = await load(model);
    const args = ["run", model, "-p", "ab", "-n", "4", "--seed", "3", "--logprobs", "2"];
    const { logprobs, tokens } = JSON.parse((await criaInProcess([...args, "--json"])).stdout);
    const parts = [];
    for await (const part of loaded.generate("ab", { maxTokens: 4, seed: 3, logprobs: 2 })) parts.push(part);
    const withPiece = ({ token, logprob }: { token: number; logprob: number }) => ({
      token,
      piece: loaded.tokenizer.piece(token),
      logprob,
    });
    expect(logprobs).toEqual(
      parts.slice(0, tokens.length).map(({ token, logprob, top }) => ({
        ...withPiece({ token, logprob: logprob! }),
        top: top!.map(withPiece),
      })),
    );
    const { stderr } = await criaInProcess(args);
    const first = logprobs[0].top[0];
    expect(stderr).toMatch(/^piece +probability +likeliest\n/);
    expect(stderr).toContain(`${(100 * Math.exp(first.logprob)).toFixed(1)} %`);
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
