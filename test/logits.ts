import fc from "fast-check";

/** Logits for properties: from one to a few dozen, of all sizes, and with many that are equal. */
export function arbitraryLogits(): fc.Arbitrary<Float32Array> {
  const anything = fc.float({ noDefaultInfinity: true, noNaN: true });
  const oneOfFew = fc.constantFrom(-1, -0, 0, 1, 2);
  return fc
    .oneof(
      ...[anything, ordinaryLogit, oneOfFew].map((logit) => fc.array(logit, { minLength: 1, maxLength: 60 })),
    )
    .map((logits) => Float32Array.from(logits));
}

const ordinaryLogit = fc.float({ min: -20, max: 20, noNaN: true });

/** Logits of sizes that models give, no two equal: where a threshold lies between two of them does not hang on a last bit. */
export function distinctLogits(): fc.Arbitrary<Float32Array> {
  return fc
    .uniqueArray(fc.integer({ min: -1999, max: 1999 }), { minLength: 1, maxLength: 60 })
    .map((hundredths) => Float32Array.from(hundredths, (n) => n / 100));
}

/** The candidates that steps begin with: every id, in order. */
export function allIds(logits: Float32Array): Uint32Array {
  return Uint32Array.from(logits, (_, id) => id);
}

/** The plain twin of every ranking here: all ids, the higher logit first, then the lower id. */
export function idsByFullSort(logits: Float32Array): number[] {
  return [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b);
}
