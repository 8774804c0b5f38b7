// The README's programs run as they are printed.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { createProgramFolder, programsIn, root } from "./program-folder.js";

it("the README's programs run as printed", async () => {
  const [story, tokenize, ...others] = programsIn(await readFile(join(root, "README.md"), "utf8"));
  expect(others).toEqual([]);

  const folder = await createProgramFolder();
  try {
    await folder.write("story.js", story!.code);
    const told = await folder.run("story.js");
    expect(told.stdout.length).toBeGreaterThan(0);
    expect(told.stderr).toMatch(/tokens, ended by (length|stop), \d+ tokens\/s/);

    const opened = `import { readFileSync } from "node:fs";\nconst bytes = readFileSync("model.gguf");\n`;
    const check = `\nconsole.log(ids[0], text);`;
    await folder.write("tokenize.js", opened + tokenize!.code + check);
    const tokenized = await folder.run("tokenize.js");
    expect(tokenized.stdout.trim()).toBe("1 Hello world");
  } finally {
    await folder.remove();
  }
});
