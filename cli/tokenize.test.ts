import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { cria, criaInProcess, makeModels, vocabulary } from "../test/cria-program.js";
import { smallConfig } from "../test/random-model.js";
import { sharedData } from "../test/shared-data.js";
import { llamaMetadata, writeGguf } from "../test/write-gguf.js";
import { openTokenizer } from "../tokenizer/index.js";

const models = await makeModels();
afterAll(() => models.remove());
const { model } = models;
const tokenizer = openTokenizer(vocabulary);
const idsOf = (text: string | Uint8Array) => tokenizer.encode(text).join(" ");

describe("cria tokenize", () => {
  it("writes the ids of --text, or of all of stdin as one text", async () => {
    expect(await cria(["tokenize", model, "--text", "ab c"])).toEqual({
      code: 0,
      stdout: `${idsOf("ab c")}\n`,
      bytes: Buffer.from(`${idsOf("ab c")}\n`),
      stderr: "",
    });
    expect((await cria(["tokenize", model], "a\nb\r\n")).stdout).toBe(`${idsOf("a\nb\r\n")}\n`);
    expect((await criaInProcess(["tokenize", model, "--text", "--bos"])).stdout).toBe(`${idsOf("--bos")}\n`);
  });

  it("puts the beginning of text in front with --bos, and shows pieces with --pieces", async () => {
    const bos = await criaInProcess(["tokenize", model, "--bos", "--text", "a"]);
    const pieces = await criaInProcess(["tokenize", model, "--bos", "--pieces", "--text", "a"]);
    expect(bos.stdout).toBe(`1 ${idsOf("a")}\n`);
    const expected = [1, ...tokenizer.encode("a")].map((id) => tokenizer.piece(id));
    expect(pieces.stdout).toBe(`${expected.join(" ")}\n`);
  });

  const lines = Buffer.concat([
    Buffer.from("first\r\n\n  two\u2028three \n"), // a carriage return and a line separator end no line
    Buffer.from([0xff, 0x61, 0xc3, 0x0a]), // not UTF-8
    Buffer.from("last"),
  ]);

  it("with --lines writes a line for each line of stdin, which end at \\n only, as raw bytes", async () => {
    const { code, stdout } = await cria(["tokenize", model, "--lines"], lines);
    const expected = ["first\r", "", "  two\u2028three ", Uint8Array.of(0xff, 0x61, 0xc3), "last"].map(idsOf);
    expect([code, stdout]).toEqual([0, expected.map((ids) => `${ids}\n`).join("")]);
    // a final line's end begins no further line, and no input has none
    expect((await cria(["tokenize", model, "--lines"], `${lines}\n`)).stdout.split("\n")).toHaveLength(6);
    expect((await criaInProcess(["tokenize", model, "--lines", "--text", ""])).stdout).toBe("");
    expect((await criaInProcess(["tokenize", model, "--lines", "--text", "\n"])).stdout).toBe("\n");
  });

  it("with --lines joins lines that come in several chunks", async () => {
    const line = `${"word ".repeat(30_000)}é`; // two chunks of a pipe and more
    const { stdout } = await cria(["tokenize", model, "--lines"], `${line}\n${line}\nx`);
    expect(stdout).toBe(`${idsOf(line)}\n${idsOf(line)}\n${idsOf("x")}\n`);
  });

  it("with --decode gives back exactly the text that was encoded", async () => {
    const text = "ab c\n é\r\n";
    const encoded = await cria(["tokenize", model, "--bos"], text);
    expect((await cria(["tokenize", model, "--decode"], encoded.stdout)).stdout).toBe(text);
    const rows = `${idsOf("a b")}\n\n${idsOf("c")}`;
    const perLine = await criaInProcess(["tokenize", model, "--decode", "--lines", "--text", rows]);
    expect(perLine.stdout).toBe("a b\n\nc\n");
    const commas = idsOf("ab").replaceAll(" ", ",");
    expect((await criaInProcess(["tokenize", model, "--decode", "--text", commas])).stdout).toBe("ab");
  });

  it.each(["x", "320", "-1", "1.5", "1e2", "99999999999999999999"])(
    "with --decode refuses %s as an id, naming it and its line",
    async (bad) => {
      const args = ["tokenize", model, "--decode", "--lines", "--text", `${idsOf("a")}\n5 ${bad}\n5`];
      const { code, stdout, stderr } = await criaInProcess(args);
      expect([code, stdout]).toEqual([1, "a\n"]); // the lines before it are converted
      expect(stderr).toMatch(/^cria: Cannot decode: expected token ids from 0 to 319, found .*in line 2\n$/);
      expect(stderr).toContain(`"${bad}"`);
    },
  );

  it("reads the vocabulary of a GGUF that holds nothing else, or another architecture", async () => {
    const path = join(models.path, "vocabulary.gguf");
    const metadata = llamaMetadata(smallConfig({ vocabSize: 320 }), vocabulary);
    for (const architecture of ["llama", "mamba"]) {
      const named = { ...metadata, "general.architecture": { type: "string", value: architecture } };
      await writeFile(path, writeGguf({ metadata: named, tensors: [] }));
      expect((await criaInProcess(["tokenize", path, "--text", "ab c"])).stdout).toBe(`${idsOf("ab c")}\n`);
    }
  });

  it("says why a model has no tokenizer", async () => {
    const path = join(models.path, "none.gguf");
    const metadata = { "general.architecture": { type: "string", value: "llama" } };
    await writeFile(path, writeGguf({ metadata, tensors: [] }));
    const { code, stderr } = await criaInProcess(["tokenize", path, "--text", "a"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^cria: Cannot turn text into tokens: .*none.gguf has no tokenizer.ggml.tokens\n$/,
    );
    expect((await criaInProcess(["tokenize", models.bare, "--text", "a"])).stderr).toContain("scores");
  });
});

const folder = sharedData("tokenizers");

describe.skipIf(!folder)("cria tokenize on Llama 2's vocabulary", () => {
  // the ids are spm_encode's, of texts made to be difficult: NULs, invalid UTF-8, separators of every kind
  it.each(["llama2/tokenizer.model", "llama2/tokenizer.bin", "llama2/ggml-vocab-llama-spm.gguf"])(
    "%s gives the ids that spm_encode gives, line by line",
    async (name) => {
      const rows = (file: string) =>
        readFileSync(`${folder}/gold/${file}`, "utf8")
          .trimEnd()
          .split("\n")
          .map((line) => JSON.parse(line));
      const texts = new Map<string, Buffer>(
        rows("nasty.jsonl").map(({ n, b }) => [n, Buffer.from(b, "base64")]),
      );
      const cases = rows("llama2.jsonl").filter(({ n }) => !texts.get(n)!.includes(10));
      expect(cases.length).toBeGreaterThan(1000);
      const input = Buffer.concat(cases.flatMap(({ n }) => [texts.get(n)!, Buffer.from("\n")]));
      const { stdout } = await cria(["tokenize", `${folder}/${name}`, "--lines"], input);
      expect(stdout.split("\n")).toEqual([...cases.map(({ ids }) => ids.join(" ")), ""]);
    },
  );
});
