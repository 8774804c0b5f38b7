import { expect, it } from "vitest";
import { NumericError } from "../errors.js";
import { checkFinite } from "./check-finite.js";

it.each([Number.NaN, Infinity, -Infinity])("checkFinite() refuses %d anywhere, naming the token", (bad) => {
  checkFinite(Float32Array.of(-3.4e38, 0, -0, 3.4e38));
  for (const id of [0, 3, 6]) {
    const logits = new Float32Array(7);
    logits[id] = bad;
    expect(() => checkFinite(logits)).toThrow(NumericError);
    expect(() => checkFinite(logits)).toThrow(
      `Cannot predict a token: expected finite logits, found ${bad} for token ${id}`,
    );
  }
});
