import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import packageJson from "../package.json" with { type: "json" };
import { cria, criaInProcess, finished, makeModels, startCria } from "../test/cria-program.js";

const models = await makeModels();
afterAll(() => models.remove());

describe("cria", () => {
  it("shows its help, its commands' help and its version on stdout", async () => {
    for (const args of [["--help"], ["-h"], ["help"]]) {
      const { code, stdout, stderr } = await criaInProcess(args);
      expect([code, stderr]).toEqual([0, ""]);
      expect(stdout).toMatch(/^cria COMMAND/);
    }
    for (const command of ["run", "chat", "inspect", "tokenize", "logits", "perplexity", "bench"]) {
      const { code, stdout, stderr } = await criaInProcess([command, "--help"]);
      expect([code, stderr]).toEqual([0, ""]);
      expect(stdout.startsWith(`cria ${command}`)).toBe(true);
    }
    expect(await cria(["--version"])).toMatchObject({
      code: 0,
      stdout: `${packageJson.version}\n`,
      stderr: "",
    });
  });

  it("ends the process with its exit codes, and shows a stack only when CRIA_DEBUG asks for it", async () => {
    const [usage, failure] = await Promise.all([
      cria(["run", "--foo"]),
      cria(["run", join(models.path, "none.gguf")]),
    ]);
    expect([usage.code, failure.code]).toEqual([2, 1]);
    for (const { stderr } of [usage, failure]) expect(stderr.split("\n")).toHaveLength(2);
    const debugged = startCria(["run", join(models.path, "none.gguf")], { CRIA_DEBUG: "1" });
    expect((await finished(debugged)).stderr).toMatch(/^cria: .*\n.*\n +at /);
  });

  const { model } = models;
  it.each([
    ["no command", [], "expected a command"],
    ["an unknown command", ["walk"], "walk"],
    ["an unknown option", ["run", model, "--foo"], "--foo"],
    ["-p without a value", ["run", model, "-p"], "-p"],
    ["two models", ["run", model, model], "expected one model"],
    ["a count that is no number", ["run", model, "-n", "x"], "-n"],
    ["a temperature that is no number", ["run", model, "--temperature", "nan"], "--temperature"],
    ["a negative temperature", ["run", model, "--temperature", "-1"], "--temperature"],
    ["a negative --top-k", ["run", model, "--top-k=-5"], "--top-k"],
    ["a --top-p over 1", ["run", model, "--top-p", "1.5"], "--top-p"],
    ["a --min-p over 1", ["run", model, "--min-p", "2"], "--min-p"],
    ["a --dry-base below 1", ["run", model, "--dry-base", "0.5"], "--dry-base"],
    ["a bias that is none", ["run", model, "--logit-bias", "5:1"], "--logit-bias"],
    ["a bias that is no number", ["run", model, "--logit-bias", "5=1.2.3"], "--logit-bias"],
    ["a negative --logprobs", ["run", model, "--logprobs", "-1"], "--logprobs"],
    ["a seed that is no integer", ["run", model, "--seed", "1.5"], "--seed"],
    ["no threads", ["run", model, "--threads", "0"], "--threads"],
    ["no context", ["run", model, "--context", "0"], "--context"],
    ["an unknown cache", ["run", model, "--cache", "q2"], "--cache"],
    ["an unknown build", ["run", model, "--build", "native"], "--build"],
    ["a forgotten file name", ["run", model, "--tokenizer", "--json"], "--tokenizer"],
    ["ids that are none", ["run", model, "--prompt-tokens", "1,x"], "--prompt-tokens"],
    ["text and ids", ["run", model, "-p", "", "--prompt-tokens", "1"], "found both"],
    ["an unknown chat format", ["chat", model, "--format", "vicuna"], "--format"],
    ["inspect without a model", ["inspect"], "expected a model"],
    ["tokenize without a file", ["tokenize", "--text", "a"], "expected a model or tokenizer"],
    ["--pieces with --decode", ["tokenize", model, "--decode", "--pieces"], "--pieces"],
    ["logits of nothing", ["logits", model], "found neither"],
    ["logits of text and ids", ["logits", model, "-p", "a", "--tokens", "1"], "found both"],
    ["--top with --all", ["logits", model, "-p", "a", "--top", "3", "--all"], "--top"],
    ["a bench of nothing", ["bench", model, "-p", "0", "-n", "0"], "found both 0"],
    ["a bench with no threads", ["bench", model, "-t", "1,0"], "-t"],
    ["a bench without repetitions", ["bench", model, "-r", "0"], "-r"],
    ["a bench in an unknown format", ["bench", model, "-o", "xml"], "-o"],
    ["a bench at a depth that is no number", ["bench", model, "--depth", "x"], "--depth"],
    ["a bench with an unknown cache", ["bench", model, "--cache", "q2"], "--cache"],
    ["--json without --top", ["logits", model, "-p", "a", "--json"], "--json"],
  ])("wrong usage, exit code 2, one line on stderr: %s", async (_, args, problem) => {
    const { code, stdout, stderr } = await criaInProcess(args);
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toMatch(/^cria: Cannot .*; see cria .*--help\n$/);
    expect(stderr).toContain(problem);
  });

  const junk = join(models.path, "junk.gguf");
  it.each([
    ["a file that is not there", ["run", join(models.path, "none.gguf")], "none.gguf"],
    ["a folder", ["inspect", models.path], models.path],
    ["a file that is no model", ["run", junk, "-p", "a"], "HTML"],
    ["a file that is no tokenizer", ["tokenize", junk, "--text", "a"], "junk.gguf"],
    ["a bench beyond the model's context", ["bench", model, "-p", "65"], "64"],
    ["a bench too deep for the context", ["bench", model, "-p", "0", "--depth", "64"], "64"],
    ["a bench of a file that is no model", ["bench", junk], "HTML"],
    ["a context beyond the model's", ["run", model, "--context", "65"], "64"],
    [
      "more threads than there are",
      ["run", model, "--threads", "1000"],
      "threads to be at most 64, found 1000",
    ],
    ["a prompt beyond the context", ["run", model, "-p", "é".repeat(99)], "at most 64 tokens"],
    ["an id outside the vocabulary", ["run", model, "--prompt-tokens", "1,320"], "token id 320"],
    ["a bias outside the vocabulary", ["run", model, "--logit-bias", "320=1"], "logitBias"],
    ["an empty stop string", ["run", model, "--stop", ""], "stop"],
    ["text without a tokenizer", ["run", models.bare, "-p", "a"], "scores"],
    ["a tokenizer of another size", ["run", model, "--tokenizer", junk], "junk.gguf"],
  ])("failed, exit code 1, one line on stderr: %s", async (_, args, problem) => {
    await writeFile(junk, "<!doctype html>\n<title>Not found</title>\n");
    const { code, stdout, stderr } = await criaInProcess(args);
    expect(code).toBe(1);
    expect(stdout).toBe("");
    expect(stderr).toMatch(/^cria: Cannot .*\n$/);
    expect(stderr).toContain(problem);
  });

  it("spells out control characters of a file's name in errors", async () => {
    const { stderr } = await criaInProcess(["run", "\x1b[31mred\n"]);
    expect(stderr).toContain("\\x1b[31mred");
    expect(stderr.split("\n")).toHaveLength(2);
  });
});
