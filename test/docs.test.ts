// The guide's programs are sound TypeScript, run, and print what it says; what it quotes stands in the code; its links lead somewhere.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createProgramFolder, type ProgramFolder, programsIn, root } from "./program-folder.js";

const pages = readdirSync(join(root, "docs")).filter((name) => name.endsWith(".md"));
const read = (path: string) => readFileSync(join(root, path), "utf8");
const programs = pages.flatMap((page) =>
  programsIn(read(`docs/${page}`)).map((program, i) => ({
    ...program,
    name: `${page.replace(".md", "")}-${i + 1}`,
  })),
);

describe("the guide's programs", () => {
  let folder: ProgramFolder;
  beforeAll(async () => {
    folder = await createProgramFolder();
    for (const { name, code } of programs) await folder.write(`${name}.ts`, code);
    await folder.compile();
  });
  afterAll(() => folder.remove());

  it("are as many as its blocks of TypeScript that quote nothing", () => {
    const blocks = pages.flatMap((page) => [...read(`docs/${page}`).matchAll(/^```ts$/gm)]);
    expect(programs.length).toBe(blocks.length);
    expect(programs.length).toBeGreaterThan(20);
  });

  it.each(programs)("$name runs and prints what the page shows", async ({ name, output }) => {
    const { stdout } = await folder.run(`${name}.js`);
    expect(stdout.trimEnd()).toBe(output?.trimEnd());
  });
});

describe("the guide", () => {
  const excerpt = /^```ts (\S+)\n([\s\S]*?)^```$/gm;
  const quotes = pages.flatMap((page) =>
    [...read(`docs/${page}`).matchAll(excerpt)].map(([, file, code]) => ({ page, file: file!, code: code! })),
  );
  const unindented = (code: string) => code.replaceAll(/^ +/gm, "").trim();

  it.each(quotes)("$page quotes $file as it is: $code", ({ file, code }) => {
    expect(unindented(read(file))).toContain(unindented(code));
  });

  it.each(["README.md", ...pages.map((page) => `docs/${page}`), "examples/README.md"])(
    "%s links to files and headings that are there",
    (page) => {
      for (const [, link] of read(page).matchAll(/\]\(([^)]+)\)/g)) {
        if (link!.startsWith("http")) continue;
        const [file, heading] = link!.split("#");
        const target = file ? join(dirname(page), file) : page;
        const headings = [...read(target).matchAll(/^#+ (.*)$/gm)].map(([, title]) => anchor(title!));
        if (heading !== undefined) expect(headings, link).toContain(heading);
      }
    },
  );
});

/** The name that GitHub gives a heading. */
function anchor(title: string): string {
  return title
    .toLowerCase()
    .replaceAll(/[^\w\- ]/g, "")
    .replaceAll(" ", "-");
}
