import { expect, it } from "vitest";
import { clockStep, measureInTurn } from "./measure.js";

it("finds how coarse a clock is", () => {
  let time = 0;
  const coarse = () => {
    time += 0.03;
    return Math.floor(time);
  };
  expect(clockStep(coarse)).toBe(1);
  expect(clockStep(() => performance.now())).toBeLessThan(0.1); // Node's goes by nanoseconds
});

it("measures functions in turn, those too short for the clock by many calls a sample", () => {
  let short = 0;
  const busyFor = (ms: number) => {
    const end = performance.now() + ms;
    while (performance.now() < end);
  };
  const [ofShort, ofLong] = measureInTurn([() => short++, () => busyFor(2)], 0.1);
  expect(ofShort!.callsPerSample).toBeGreaterThan(100);
  expect(ofShort!.callsPerSample * ofShort!.samples).toBeLessThanOrEqual(short);
  expect(ofLong!.callsPerSample).toBe(1);
  expect(ofLong!.median).toBeGreaterThanOrEqual(2);
  expect(ofLong!.lowerQuartile).toBeLessThanOrEqual(ofLong!.median);
  expect(ofLong!.samples).toBeGreaterThanOrEqual(12);
});
