import { describe, expect, it } from "vitest";
import { nextTask } from "../next-task.js";
import { chunkSize, createPace } from "./pace.js";

describe("chunkSize()", () => {
  it("starts small, since nothing has been measured", () => {
    expect(chunkSize(undefined, 64)).toBe(8);
    expect(chunkSize(undefined, 3)).toBe(3);
  });

  it("takes what fits in 50 ms, in whole tiles of four", () => {
    expect(chunkSize(1, 64)).toBe(48);
    expect(chunkSize(5, 64, 4)).toBe(8);
  });

  it("takes a tile at least and the batch at most", () => {
    expect(chunkSize(1000, 64, 4)).toBe(4);
    expect(chunkSize(1000, 64)).toBe(16);
    expect(chunkSize(0, 64)).toBe(64);
    expect(chunkSize(0.001, 64)).toBe(64);
    expect(chunkSize(1000, 2)).toBe(2);
  });
});

describe("createPace()", () => {
  it("lets a timer through once 50 ms have been computed", async () => {
    const pace = createPace([]);
    let fired = false;
    setTimeout(() => {
      fired = true;
    }, 0);
    await pace.rest();
    expect(fired).toBe(false);
    const until = performance.now() + 60;
    while (performance.now() < until);
    await pace.rest();
    await nextTask();
    expect(fired).toBe(true);
  });

  it("rejects with the reason of whichever signal is aborted", async () => {
    const controller = new AbortController();
    const pace = createPace([undefined, new AbortController().signal, controller.signal]);
    await pace.rest();
    controller.abort(new Error("enough"));
    await expect(pace.rest()).rejects.toThrow("enough");
  });
});
