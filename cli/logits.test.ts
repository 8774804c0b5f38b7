import { readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { load } from "../runtime/index.js";
import { cria, criaInProcess, finished, makeModels, startCria } from "../test/cria-program.js";

const models = await makeModels();
afterAll(() => models.remove());
const { model, bare, slow } = models;

/** Logits of the positions from `from` on, as bytes. */
async function logitsOf(prompt: string | number[], from?: number): Promise<Buffer> {
  const rows: Buffer[] = [];
  for await (const row of (await load(model)).logits(prompt, { from })) {
    rows.push(Buffer.from(Float32Array.from(row).buffer));
  }
  return Buffer.concat(rows);
}

const partials = async () => (await readdir(models.path)).filter((name) => name.endsWith(".partial"));

describe("cria logits", () => {
  it("writes the last position's logits to stdout as float32", async () => {
    const { code, bytes, stderr } = await cria(["logits", model, "-p", "ab c"]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(bytes).toHaveLength(320 * 4);
    expect(bytes).toEqual(await logitsOf("ab c"));
    expect((await cria(["logits", bare, "--tokens", "5,9,300"])).bytes).toEqual(await logitsOf([5, 9, 300]));
  });

  it("writes those of every position with --all, and to a file with -o", async () => {
    const ids = Array.from({ length: 30 }, (_, i) => 3 + i * 7);
    const path = join(models.path, "all.f32");
    const args = ["logits", model, "--tokens", ids.join(","), "--all"];
    expect(await cria([...args, "-o", path])).toMatchObject({ code: 0, stdout: "", stderr: "" });
    const expected = await logitsOf(ids, 0);
    expect(expected).toHaveLength(30 * 320 * 4);
    expect(await readFile(path)).toEqual(expected);
    expect(await partials()).toEqual([]);
  });

  it("leaves the old file as it is, and nothing beside it, when the ids are refused", async () => {
    const path = join(models.path, "old.f32");
    await writeFile(path, "old");
    const { code, stderr } = await criaInProcess(["logits", model, "--tokens", "5,320", "--all", "-o", path]);
    expect(code).toBe(1);
    expect(stderr).toContain("token id 320");
    expect(await readFile(path, "utf8")).toBe("old");
    expect(await partials()).toEqual([]);
  });

  it("leaves the old file as it is, and nothing beside it, when Ctrl-C ends it midway", async () => {
    const path = join(models.path, "interrupted.f32");
    await writeFile(path, "old");
    const ids = Array(4096).fill(5).join(",");
    const child = startCria(["logits", slow, "--tokens", ids, "--all", "-o", path]);
    const end = finished(child);
    while ((await partials()).length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    child.kill("SIGINT");
    expect(await end).toMatchObject({ code: 130, stdout: "", stderr: "" });
    expect(await readFile(path, "utf8")).toBe("old");
    expect(await partials()).toEqual([]);
  });

  it("follows a link, writes to devices, and says what it cannot write to", async () => {
    const [target, link] = [join(models.path, "target.f32"), join(models.path, "link.f32")];
    await writeFile(target, "old");
    await symlink(target, link);
    const write = (path: string) => criaInProcess(["logits", model, "--tokens", "5", "-o", path]);
    expect((await write(link)).code).toBe(0);
    expect(await readFile(target)).toEqual(await logitsOf([5]));
    expect((await write("/dev/null")).code).toBe(0);
    const missing = join(models.path, "none", "x.f32");
    for (const path of [missing, models.path]) {
      const { code, stderr } = await write(path);
      expect(code).toBe(1);
      expect(stderr).toContain(`cria: Cannot write ${path}: `);
    }
  });

  it("shows the likeliest pieces with --top, as a table or as JSON", async () => {
    const bytes = await logitsOf("ab");
    const logits = new Float32Array(bytes.buffer, bytes.byteOffset, 320);
    const exps = Array.from(logits, Math.exp);
    const sum = exps.reduce((total, value) => total + value, 0);
    const ids = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]!).slice(0, 3);

    const { tokenizer } = await load(model);
    const json = JSON.parse(
      (await criaInProcess(["logits", model, "-p", "ab", "--top", "3", "--json"])).stdout,
    );
    expect(json.promptTokens).toEqual([1, ...tokenizer.encode("ab")]);
    expect(json.top).toEqual(
      ids.map((id) => ({
        id,
        piece: tokenizer.piece(id),
        probability: expect.closeTo(exps[id]! / sum, 6),
        logit: logits[id],
      })),
    );

    const { stdout } = await criaInProcess(["logits", model, "-p", "ab", "--top", "3"]);
    const rows = stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.trim().split(/\s+/));
    expect(rows[0]).toEqual(["id", "piece", "probability", "logit"]);
    expect(rows.slice(1).map(([id, piece]) => [id, piece])).toEqual(
      ids.map((id) => [String(id), tokenizer.piece(id)]),
    );
    // bars of eighths of a character, the likeliest's 32 characters long
    const bars = stdout
      .trimEnd()
      .split("\n")
      .slice(1)
      .map((line) => /[█▏▎▍▌▋▊▉]*$/.exec(line)![0]);
    const eighths = bars.map((bar) => [...bar].reduce((sum, char) => sum + " ▏▎▍▌▋▊▉█".indexOf(char), 0));
    expect(eighths).toEqual(ids.map((id) => Math.round((256 * exps[id]!) / exps[ids[0]!]!)));
    const { stdout: withoutPieces } = await criaInProcess([
      "logits",
      bare,
      "--tokens",
      "5",
      "--top",
      "2",
      "--json",
    ]);
    expect(JSON.parse(withoutPieces).top[0].piece).toBeNull();
  });
});
