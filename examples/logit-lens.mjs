// The logit lens (nostalgebraist 2020): what the model would say after each layer, if that were its last one.
// One row for each layer, the last on top, one column for each token: the most likely next token and its probability.
//
//   node examples/logit-lens.mjs "The sun was" path/to/model.gguf

import { loadInThread } from "cria";

const [prompt = "Once upon a time, there was a little", path = "tiny"] = process.argv.slice(2);
const model = await loadInThread(path);
const { tokenizer, config } = model;
const ids = model.tokenize(prompt);

/** By layer and position. @type {string[][]} */
const cells = Array.from({ length: config.nLayers }, () => []);

/** @type {import("cria").OnLayer} */
const onLayer = ({ layer, residual, project }) => {
  const logits = project(residual);
  for (let at = 0; at < logits.length; at += config.vocabSize) {
    const { id, probability } = likeliest(logits.subarray(at, at + config.vocabSize));
    cells[layer]?.push(`${tokenizer.piece(id)} ${Math.round(100 * probability)}%`);
  }
};
for await (const _ of model.logits(ids, { onLayer })); // the hook sees all there is to see
await model.dispose();

const rows = [["", ...ids.map((id) => tokenizer.piece(id))]];
for (const [layer, row] of [...cells.entries()].reverse()) rows.push([`layer ${layer}`, ...row]);
const widths = ids.map((_, i) => Math.max(...rows.map((row) => row[i + 1]?.length ?? 0)));
for (const [name = "", ...row] of rows) {
  console.log([name.padEnd(9), ...row.map((cell, i) => cell.padEnd(widths[i] ?? 0))].join("  ").trimEnd());
}

/**
 * The token with the largest logit, and its probability: softmax of the logits.
 * @param {Float32Array} logits
 */
function likeliest(logits) {
  const max = logits.reduce((a, b) => Math.max(a, b));
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - max), 0);
  return { id: logits.indexOf(max), probability: 1 / sum };
}
