import { describe, expect, it } from "vitest";
import { createTurns } from "./turns.js";

describe("createTurns()", () => {
  it("lets one in at a time, in the order of asking", async () => {
    const turns = createTurns();
    const order: number[] = [];
    const work = async (number: number) => {
      const turn = await turns.take();
      order.push(number);
      await new Promise((resolve) => setTimeout(resolve, 1));
      order.push(-number);
      turn.end();
    };
    await Promise.all(Array.from({ length: 100 }, (_, i) => work(i + 1)));
    expect(order).toEqual(Array.from({ length: 100 }, (_, i) => [i + 1, -(i + 1)]).flat());
  });

  it("rejects who waits with an aborted signal, and keeps the order for the others", async () => {
    const turns = createTurns();
    const first = await turns.take();
    const controller = new AbortController();
    const second = turns.take(controller.signal);
    const third = turns.take();
    controller.abort(new Error("no longer"));
    await expect(second).rejects.toThrow("no longer");
    let thirdIsIn = false;
    third.then(() => {
      thirdIsIn = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 1));
    expect(thirdIsIn).toBe(false);
    first.end();
    await third;
  });

  it("refuses a signal that is aborted already, without taking a turn", async () => {
    const turns = createTurns();
    await expect(turns.take(AbortSignal.abort(new Error("before")))).rejects.toThrow("before");
    await turns.take();
  });

  it("ends a turn whose signal is aborted while it is held", async () => {
    const turns = createTurns();
    const controller = new AbortController();
    await turns.take(controller.signal);
    const next = turns.take();
    controller.abort();
    await next;
  });

  it("passes the turn on when its holder pauses for long, and gives it back afterwards", async () => {
    const turns = createTurns();
    const reader = await turns.take();
    const order: string[] = [];
    const other = turns.take().then((turn) => {
      order.push("other");
      return turn;
    });
    reader.pause();
    const second = await other;
    const back = reader.resume().then(() => order.push("reader"));
    await new Promise((resolve) => setTimeout(resolve, 1));
    expect(order).toEqual(["other"]);
    second.end();
    await back;
    expect(order).toEqual(["other", "reader"]);
  });

  it("leaves the turn to a holder whose pauses are short", async () => {
    const turns = createTurns();
    const reader = await turns.take();
    let passed = false;
    const other = turns.take().then((turn) => {
      passed = true;
      return turn;
    });
    for (let i = 0; i < 50; i++) {
      reader.pause();
      await new Promise((resolve) => setImmediate(resolve));
      await reader.resume();
    }
    expect(passed).toBe(false);
    reader.end();
    await other;
  });

  it("rejects who would resume after an abort, its own end or the closing", async () => {
    const controller = new AbortController();
    const turns = createTurns();
    const aborted = await turns.take(controller.signal);
    aborted.pause();
    controller.abort(new Error("no longer"));
    await expect(aborted.resume()).rejects.toThrow("no longer");
    const ended = await turns.take();
    ended.end();
    await expect(ended.resume()).rejects.toThrow("the turn has ended");
    const closed = await turns.take();
    turns.close(new Error("closed"));
    await expect(closed.resume()).rejects.toThrow("closed");
  });

  it("closed, it rejects who waits and who comes", async () => {
    const turns = createTurns();
    await turns.take();
    const waiting = turns.take();
    turns.close(new Error("closed"));
    await expect(waiting).rejects.toThrow("closed");
    await expect(turns.take()).rejects.toThrow("closed");
  });

  it("puts one listener on a signal that a hundred wait with", async () => {
    const controller = new AbortController();
    const turns = createTurns();
    const turn = await turns.take();
    let warned = false;
    process.once("warning", () => {
      warned = true;
    });
    const waiting = Array.from({ length: 100 }, () => turns.take(controller.signal));
    const settled = Promise.allSettled(waiting);
    controller.abort();
    expect((await settled).every(({ status }) => status === "rejected")).toBe(true);
    turn.end();
    await new Promise((resolve) => setImmediate(resolve));
    expect(warned).toBe(false);
  });

  it("leaves no listener on a signal that is used again and again", async () => {
    const controller = new AbortController();
    let listeners = 0;
    const { signal } = controller;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners++;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners--;
      remove(...args);
    };
    const turns = createTurns();
    for (let i = 0; i < 20; i++) (await turns.take(signal)).end();
    expect(listeners).toBe(0);
  });
});
