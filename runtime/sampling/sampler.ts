import { draw } from "./draw.js";
import { greedy } from "./greedy.js";
import { checkedSamplerOptions, type SamplerOptions } from "./options.js";
import { type OrderScratch, orderByLogit } from "./order.js";
import { createRandom } from "./random.js";
import { softmax } from "./softmax.js";
import { topK } from "./top-k.js";
import { topP } from "./top-p.js";

/**
 * A function from logits, f32[vocabSize], to the id of the next token. The same options and the same logits give the
 * same ids on every machine.
 *
 * Steps come in llama.cpp's conventional order: the topK best logits; of these the nucleus of probability topP, at
 * temperature 1; only then temperature, softmax, and one random number. So temperature changes how likely a kept token
 * is, but never which are kept. Equal logits rank by id, the lower first. Each call draws one number, whatever the
 * logits; at temperature 0 there is nothing to draw, and topK, topP and seed do nothing.
 *
 * Throws a TypeError for an option that is unknown, of the wrong type or out of range; the sampler itself throws a
 * NumericError when a logit is NaN or infinite, and a RangeError when there are no logits.
 */
export function createSampler(options: SamplerOptions): (logits: Float32Array) => number {
  const { temperature, topK: k, topP: p, seed } = checkedSamplerOptions(options);
  const random = createRandom(seed);
  let scratch = createScratch(0);

  return (logits) => {
    if (logits.length === 0) throw new RangeError("Cannot choose a token: expected logits, found none");
    if (temperature === 0) return greedy(logits);
    if (scratch.ids.length !== logits.length) scratch = createScratch(logits.length);

    const best = k === 0 ? orderByLogit(logits, scratch) : topK(logits, k, scratch.ids);
    const candidates = p === 1 ? best : topP(logits, best, p, scratch.probabilities);
    const probabilities = softmax(logits, candidates, temperature, scratch.probabilities);
    return candidates[draw(probabilities, random())]!;
  };
}

function createScratch(vocabSize: number): OrderScratch & { readonly probabilities: Float64Array } {
  return {
    ids: new Uint32Array(vocabSize),
    otherIds: new Uint32Array(vocabSize),
    keys: new Uint32Array(vocabSize),
    probabilities: new Float64Array(vocabSize),
  };
}
