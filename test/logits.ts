import fc from "fast-check";

/** Logits for properties: from one to a few dozen, of all sizes, and with many that are equal. */
export function arbitraryLogits(): fc.Arbitrary<Float32Array> {
  const anything = fc.float({ noDefaultInfinity: true, noNaN: true });
  const ordinary = fc.float({ min: -20, max: 20, noNaN: true });
  const oneOfFew = fc.constantFrom(-1, -0, 0, 1, 2);
  return fc
    .oneof(...[anything, ordinary, oneOfFew].map((logit) => fc.array(logit, { minLength: 1, maxLength: 60 })))
    .map((logits) => Float32Array.from(logits));
}

/** The plain twin of every ranking here: all ids, the higher logit first, then the lower id. */
export function idsByFullSort(logits: Float32Array): number[] {
  return [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b);
}
