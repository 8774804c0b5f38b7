import { expect, it } from "vitest";
import { draw } from "./draw.js";

const ids = Uint32Array.of(4, 0, 2, 1);
const weights = Float64Array.of(2, 0, 1, 99, 1); // of 4: 1, of 0: 2, of 2: 1, of 1: none

it("draw() takes the first candidate whose cumulative weight exceeds the uniform share", () => {
  const at = (uniform: number) => draw(ids, weights, uniform);
  expect([0, 0.2499, 0.25, 0.7499, 0.75, 1 - 2 ** -32].map(at)).toEqual([4, 4, 0, 0, 2, 2]);
});

it("draw() never takes a candidate of weight 0, at either end", () => {
  expect(draw(Uint32Array.of(1, 0, 1), weights, 0)).toBe(0);
  expect(draw(Uint32Array.of(0, 1), weights, 1 - 2 ** -53)).toBe(0);
});
