// The README's program runs as it is printed.

import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { randomCheckpoint, smallConfig } from "./random-model.js";
import { checkpointToGguf, plainVocabulary } from "./write-gguf.js";

const root = fileURLToPath(new URL("..", import.meta.url));

it("the README's programs run as printed, on a model named as there", async () => {
  const readme = await readFile(join(root, "README.md"), "utf8");
  const programs = [...readme.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code]) => code!);
  expect(programs).toHaveLength(2);

  const folder = await mkdtemp(join(tmpdir(), "cria-readme-"));
  try {
    await mkdir(join(folder, "node_modules"));
    await symlink(root, join(folder, "node_modules", "cria"), "dir");
    const config = smallConfig({ vocabSize: 320, contextLength: 64 });
    const vocabulary = plainVocabulary(320);
    const tokens = vocabulary.tokens.with(259, "▁"); // a space of its own, as real vocabularies have
    const model = await checkpointToGguf(randomCheckpoint({ config, type: "Q8_0", seed: 1 }), {
      ...vocabulary,
      tokens,
    });
    await writeFile(join(folder, "model.gguf"), model);

    const run = async (name: string, code: string) => {
      await writeFile(join(folder, name), code);
      return promisify(execFile)(process.execPath, [name], { cwd: folder });
    };
    const story = await run("story.mjs", programs[0]!);
    expect(story.stdout.length).toBeGreaterThan(0);
    expect(story.stderr).toMatch(/tokens, ended by (length|stop), \d+ tokens\/s/);

    const opened = `import { readFileSync } from "node:fs";\nconst bytes = readFileSync("model.gguf");\n`;
    const check = `\nconsole.log(ids[0], text);`;
    const tokenized = await run("tokenize.mjs", opened + programs[1]! + check);
    expect(tokenized.stdout.trim()).toBe("1 Hello world");
  } finally {
    await rm(folder, { recursive: true });
  }
});
