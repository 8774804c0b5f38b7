// Plain twins of the sampling steps: full sorts, float64, JavaScript's own Math; from the papers' definitions.
// A distribution is a list of tokens with their probabilities at temperature 1, the likeliest first, then the lower id.

import { idsByFullSort } from "./logits.js";

export interface Likely {
  readonly id: number;
  readonly logit: number;
  readonly p: number;
}

export function distribution(logits: Float32Array, temperature = 1): Likely[] {
  return normalized(
    idsByFullSort(logits).map((id) => ({ id, logit: logits[id]! })),
    temperature,
  );
}

/** The same tokens with probabilities that sum to 1 among them. */
export function normalized(
  tokens: readonly { readonly id: number; readonly logit: number }[],
  temperature = 1,
): Likely[] {
  const max = Math.max(...tokens.map(({ logit }) => logit));
  const weights = tokens.map(({ logit }) => Math.exp((logit - max) / temperature));
  const sum = weights.reduce((a, b) => a + b, 0);
  return tokens.map(({ id, logit }, i) => ({ id, logit, p: weights[i]! / sum }));
}

export const twins = {
  topK: (tokens: readonly Likely[], k: number) => tokens.slice(0, k),
  topP: (tokens: readonly Likely[], p: number) => headWithMass(tokens, p),
  minP: (tokens: readonly Likely[], p: number) => tokens.filter((token) => token.p >= p * tokens[0]!.p),
  typicalP(tokens: readonly Likely[], p: number) {
    const entropy = -tokens.reduce((sum, token) => sum + (token.p > 0 ? token.p * Math.log(token.p) : 0), 0);
    const distance = (token: Likely) => Math.abs(-Math.log(token.p) - entropy);
    return headWithMass(
      [...tokens].sort((a, b) => distance(a) - distance(b)),
      p,
    );
  },
  topNSigma(tokens: readonly Likely[], n: number) {
    const mean = tokens.reduce((sum, { logit }) => sum + logit, 0) / tokens.length;
    const variance = tokens.reduce((sum, { logit }) => sum + (logit - mean) ** 2, 0) / tokens.length;
    return tokens.filter(({ logit }) => logit >= tokens[0]!.logit - n * Math.sqrt(variance));
  },
  xtc(tokens: readonly Likely[], threshold: number) {
    const choices = tokens.filter((token) => token.p >= threshold).length;
    return tokens.slice(Math.max(choices - 1, 0));
  },
};

function headWithMass(tokens: readonly Likely[], mass: number): Likely[] {
  let sum = 0;
  const end = tokens.findIndex(({ p }) => {
    sum += p;
    return sum >= mass;
  });
  return tokens.slice(0, end < 0 ? tokens.length : end + 1);
}
