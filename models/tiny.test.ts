import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { inspect, load } from "../runtime/index.js";
import { tinyUrl } from "./tiny.js";

const file = readFileSync(tinyUrl);
const card = readFileSync(new URL("README.md", import.meta.url), "utf8");

/** The card's stories by their seeds. */
const stories = [...card.matchAll(/^### Seed (\d+)\n\n([\s\S]*?)\n\n(?=### Seed|<!-- end)/gm)].map(
  ([, seed, story]) => ({ seed: Number(seed), story: story! }),
);

describe("the bundled model", () => {
  it("is the file whose digest stands beside it, and at most 4 MB", () => {
    const [digest] = readFileSync(new URL("tiny.gguf.sha256", import.meta.url), "utf8").split(" ");
    expect(createHash("sha256").update(file).digest("hex")).toBe(digest);
    expect(file.length).toBeLessThanOrEqual(4_000_000);
  });

  it("says who made it, under which licence, and what it is for", async () => {
    const { metadata, parameters, problem } = await inspect(tinyUrl);
    expect(problem).toBeUndefined();
    expect(parameters).toBe(3_410_176);
    for (const key of ["name", "author", "license", "description"]) {
      expect(metadata.get(`general.${key}`)).toMatch(/\w/);
    }
  });

  // recorded on one machine: what is shown here is that every other, and either build, writes the same
  it.each(["simd", "relaxed", "relaxed16"] as const)(
    "writes the card's twenty stories, in the %s build",
    async (build) => {
      expect(stories).toHaveLength(20);
      const model = await load("tiny", { build });
      for (const { seed, story } of stories) {
        const { text, endedBy } = await model.generate("Once upon a time", { seed, temperature: 0.8 });
        const end = endedBy === "eos" ? "" : `\n\n(ended by ${endedBy})`;
        expect(`Once upon a time${text.trimEnd()}${end}`).toBe(story);
      }
    },
  );
});
