// Writes the card's samples: seeds 1 to 20, one after the other, whatever comes. Run after the build: node models/samples.mjs
import { readFileSync, writeFileSync } from "node:fs";
import { load } from "../dist/runtime/index.js";

const card = new URL("README.md", import.meta.url);
const prompt = "Once upon a time";
const model = await load("tiny");
let samples = "";
for (let seed = 1; seed <= 20; seed++) {
  const { text, endedBy } = await model.generate(prompt, { seed, temperature: 0.8 });
  const end = endedBy === "eos" ? "" : `\n\n(ended by ${endedBy})`;
  samples += `### Seed ${seed}\n\n${prompt}${text.trimEnd()}${end}\n\n`;
}
const [before, rest] = readFileSync(card, "utf8").split("<!-- samples -->\n");
const [, after] = rest.split("<!-- end of samples -->\n");
writeFileSync(card, `${before}<!-- samples -->\n\n${samples}<!-- end of samples -->\n${after}`);
