import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createProgress, type Progress } from "./progress.js";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

describe("createProgress()", () => {
  it("tells the rate so far, and the time left at that rate", () => {
    const seen: Progress[] = [];
    const report = createProgress("weights", 1000, (progress) => seen.push(progress));
    report(0);
    vi.advanceTimersByTime(1000);
    report(100);
    vi.advanceTimersByTime(1000);
    report(300);
    expect(seen).toEqual([
      { phase: "weights", loaded: 0, total: 1000, bytesPerSecond: 0, secondsLeft: undefined },
      { phase: "weights", loaded: 100, total: 1000, bytesPerSecond: 100, secondsLeft: 9 },
      { phase: "weights", loaded: 300, total: 1000, bytesPerSecond: 150, secondsLeft: 700 / 150 },
    ]);
  });

  it("forgets what is more than five seconds ago", () => {
    let last: Progress | undefined;
    const report = createProgress("write", 1e6, (progress) => {
      last = progress;
    });
    for (let second = 1; second <= 10; second++) {
      vi.advanceTimersByTime(1000);
      report(1000 * second); // 1,000 a second
    }
    for (let second = 1; second <= 5; second++) {
      vi.advanceTimersByTime(1000);
      report(10_000 + 10 * second);
    }
    expect(last).toMatchObject({ bytesPerSecond: 10, secondsLeft: (1e6 - 10_050) / 10 });
  });

  it("keeps few samples, however often it is told", () => {
    let last: Progress | undefined;
    const report = createProgress("check", 1e9, (progress) => {
      last = progress;
    });
    for (let i = 1; i <= 20_000; i++) {
      vi.advanceTimersByTime(1);
      report(5 * i);
    }
    expect(last!.bytesPerSecond).toBeCloseTo(5000, 6);
  });
});
