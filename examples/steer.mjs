// Activation steering (Turner et al. 2023, arXiv:2308.10248): the difference between two prompts' residuals after a layer is a direction;
// added to the residual stream while the model writes, it moves the text that way. Prints the text without and with it.
//
//   node examples/steer.mjs "One day, Tom went to the park." path/to/model.gguf

import { loadInThread } from "cria";

const TOWARDS = "The boy was very sad";
const AWAY_FROM = "The boy was very happy";
/** How often the difference is added. Too much of it and the model writes one word again and again. */
const STRENGTH = 0.6;

const [prompt = "One day, Tom went to the park.", path = "tiny"] = process.argv.slice(2);
const model = await loadInThread(path);
const { dim, nLayers } = model.config;
const middle = (nLayers - 1) >> 1;

const to = await lastResidual(TOWARDS);
const from = await lastResidual(AWAY_FROM);
const direction = to.map((value, i) => STRENGTH * (value - (from[i] ?? 0)));

/** @type {import("cria").OnLayer} */
const steer = ({ layer, residual }) => {
  if (layer !== middle) return;
  for (let i = 0; i < residual.length; i++) residual[i] = (residual[i] ?? 0) + (direction[i % dim] ?? 0);
};

const greedy = { temperature: 0, maxTokens: 50 };
const plain = await model.generate(prompt, greedy);
const steered = await model.generate(prompt, { ...greedy, onLayer: steer });
console.log(`without: ${prompt}${plain.text}\n\nwith: ${prompt}${steered.text}`);
await model.dispose();

/**
 * The residual of a text's last token after the middle layer: a copy, since the memory that the hook is shown is used again.
 * @param {string} text
 */
async function lastResidual(text) {
  let last = new Float32Array(dim);
  /** @type {import("cria").OnLayer} */
  const onLayer = ({ layer, residual }) => {
    if (layer === middle) last = residual.slice(-dim);
  };
  for await (const _ of model.logits(text, { onLayer })); // in chunks: the last one has the last token
  return last;
}
