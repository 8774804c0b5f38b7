import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { randomCheckpoint, smallConfig } from "../../test/random-model.js";
import { checkpointToGguf, plainVocabulary } from "../../test/write-gguf.js";
import { ContextError, SnapshotError } from "../errors.js";
import { type CacheType, cacheTypes } from "../memory/choices.js";
import { forward } from "../model/forward.js";
import { type Llama, loadLlama } from "../model/llama.js";
import { load } from "./load.js";
import type { Model } from "./model.js";
import type { Session } from "./session.js";

const contextLength = 40;
const config = smallConfig({ vocabSize: 320, contextLength });
const checkpoint = randomCheckpoint({ config, type: "Q8_0", seed: 4 });
const gguf = await checkpointToGguf(checkpoint, plainVocabulary(320));
const greedy = { temperature: 0 } as const;

const ids = fc.array(fc.integer({ min: 3, max: 319 }), { minLength: 1, maxLength: 6 });

/** Something that is done to one of several sessions; numbers choose by remainder. */
const operations = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant("append" as const), session: fc.nat(), ids }),
    fc.record({ kind: fc.constant("generate" as const), session: fc.nat(), ids, count: fc.nat(4) }),
    fc.record({
      kind: fc.constant("leave" as const),
      session: fc.nat(),
      count: fc.integer({ min: 1, max: 3 }),
    }),
    fc.record({ kind: fc.constant("fork" as const), session: fc.nat() }),
    fc.record({ kind: fc.constant("rewind" as const), session: fc.nat(), count: fc.nat(8) }),
    fc.record({ kind: fc.constant("restore" as const), session: fc.nat() }),
    fc.record({ kind: fc.constant("other" as const), ids }),
  ),
  { minLength: 1, maxLength: 12 },
);
type Operation = typeof operations extends fc.Arbitrary<(infer T)[]> ? T : never;

describe.each(cacheTypes)("a session with a cache of %s", (cacheType: CacheType) => {
  let model: Model;
  let twin: Llama;
  beforeAll(async () => {
    model = await load(gguf, { cacheType });
    twin = await loadLlama(checkpoint, { contextLength, cacheType });
  });
  afterAll(() => model.dispose());

  /** Carries out one operation, on the sessions and on lists of ids that say what they should hold. */
  async function run(operation: Operation, sessions: Session[], expected: number[][]): Promise<void> {
    if (operation.kind === "other") {
      await model.generate(operation.ids, { maxTokens: 2 });
      return;
    }
    const number = operation.session % sessions.length;
    const session = sessions[number]!;
    const list = expected[number]!;
    const fits = (count: number) => list.length + count <= contextLength;
    switch (operation.kind) {
      case "append":
        if (!fits(operation.ids.length)) return;
        await session.append(operation.ids);
        list.push(...operation.ids);
        return;
      case "generate": {
        if (!fits(operation.ids.length)) return;
        const options = { ...greedy, maxTokens: operation.count };
        const { tokens } = await session.generate(operation.ids, options);
        list.push(...operation.ids, ...tokens);
        return;
      }
      case "leave": {
        if (list.length === 0 || !fits(0)) return;
        let count = 0;
        for await (const { token } of session.generate(undefined, { seed: 5 })) {
          list.push(token);
          if (++count === operation.count) break;
        }
        return;
      }
      case "fork":
        sessions.push(session.fork());
        expected.push([...list]);
        return;
      case "rewind":
        session.rewind(operation.count);
        list.length = Math.max(0, list.length - operation.count);
        return;
      case "restore": {
        const snapshot = await session.save();
        session.dispose();
        sessions[number] = await model.restore(snapshot);
      }
    }
  }

  it("has the logits of a fresh computation, bit for bit, whatever was done to it and to others", async () => {
    await fc.assert(
      fc.asyncProperty(operations, async (list) => {
        const sessions = [model.session(), model.session()];
        const expected: number[][] = [[], []];
        for (const operation of list) await run(operation, sessions, expected);
        for (const [i, session] of sessions.entries()) {
          expect(session.tokens).toEqual(expected[i]);
          const { tokens } = session;
          if (tokens.length === 0 || tokens.length > contextLength) continue;
          expect(await session.logits()).toEqual(forward(twin, tokens, 0));
        }
        for (const session of sessions) session.dispose();
      }),
      { numRuns: 60 },
    );
  });
});

describe("a session", () => {
  let model: Model;
  beforeAll(async () => {
    model = await load(gguf);
  });
  afterAll(() => model.dispose());

  it("computes what is new only, also when others have been at work in between", async () => {
    const session = model.session();
    await session.append([5, 6, 7, 8]);
    const { usage } = await session.generate([9, 10], { ...greedy, maxTokens: 2 });
    expect(usage).toMatchObject({ promptTokens: 6, cachedTokens: 4 });
    await model.generate([50, 51, 52], { maxTokens: 3 });
    // of the last token that was written nothing is known yet
    const again = await session.generate(undefined, { ...greedy, maxTokens: 1 });
    expect(again.usage).toMatchObject({ promptTokens: 8, cachedTokens: 7 });
    const fork = session.fork();
    expect((await fork.generate([3], { maxTokens: 1 })).usage.cachedTokens).toBeGreaterThanOrEqual(8);
  });

  it("begins a text as generate does, and goes on without a space", async () => {
    const session = model.session();
    await session.append("ab");
    expect(session.tokens).toEqual(model.tokenize("ab"));
    await session.append("c d");
    // this vocabulary shows spaces as they are kept
    expect(model.tokenizer.decode(session.tokens)).toBe("▁abc▁d");
    const empty = await model.session().generate(undefined, { maxTokens: 0 });
    expect(empty.promptTokens).toEqual(model.tokenize(""));
  });

  it("writes the text that generate writes", async () => {
    const options = { seed: 11, maxTokens: 12 };
    const expected = await model.generate("ab c", options);
    const session = model.session();
    await session.append("ab c");
    const found = await session.generate(undefined, options);
    expect([found.text, found.tokens]).toEqual([expected.text, expected.tokens]);
    expect(session.tokens).toEqual([...expected.promptTokens, ...expected.tokens]);
  });

  it("is as before when a prompt is aborted or too long", async () => {
    const session = model.session();
    await session.append([5, 6]);
    const reason = new Error("enough");
    await expect(session.append([7], { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await expect(session.generate([7], { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const long = Array.from({ length: contextLength }, () => 7);
    await expect(session.append(long)).rejects.toThrow(ContextError);
    await expect(session.generate(long)).rejects.toThrow(/at most 40 tokens.*found 42/);
    await expect(session.append([320])).rejects.toThrow(RangeError);
    expect(session.tokens).toEqual([5, 6]);
    await session.append([7]);
    expect(session.tokens).toEqual([5, 6, 7]);
  });

  it("lets no call in while one is under way, and none once it is disposed of", async () => {
    const session = model.session();
    const appended = session.append([5, 6]);
    expect(() => session.generate()).toThrow("call before to have ended");
    expect(() => session.rewind(1)).toThrow("call before to have ended");
    await expect(session.logits()).rejects.toThrow("call before to have ended");
    await appended;
    for await (const _ of session.generate(undefined, { maxTokens: 3 })) {
      expect(() => session.fork()).toThrow("call before to have ended");
      break;
    }
    session.dispose();
    session.dispose();
    expect(() => session.generate()).toThrow("disposed of");
    await expect(session.save()).rejects.toThrow("disposed of");
  });

  it("refuses wrong arguments by name", async () => {
    const session = model.session();
    expect(() => session.rewind(-1)).toThrow(/count.*-1/);
    expect(() => session.rewind(undefined as never)).toThrow(/count/);
    expect(() => session.generate("a", { topk: 3 } as never)).toThrow('"topk"');
    expect(() => session.generate("a", { contextFull: "grow" as never })).toThrow(/contextFull.*"grow"/);
    expect(() => session.generate("a", { keep: 40 })).toThrow(RangeError);
    expect(() => session.generate({ maxTokens: 3 } as never)).toThrow(
      /expected a text or .*, found an object/,
    );
    for (const nothing of [session.append([1], null as never), session.save(null as never)]) {
      await expect(nothing).rejects.toThrow("expected an object of options, found null");
    }
    await expect(session.append(5 as never)).rejects.toThrow(TypeError);
    await expect(session.append([1], { sginal: 1 } as never)).rejects.toThrow('"sginal"');
    await expect(session.logits()).rejects.toThrow(TypeError);
  });
});

describe("saved sessions", () => {
  it("are restored in another model of the same weights, also one with another context", async () => {
    const [one, other] = [await load(gguf), await load(gguf, { contextLength: 24, threads: 2 })];
    const session = one.session();
    await session.append([5, 6, 7, 8, 9]);
    const restored = await other.restore(await session.save());
    const options = { seed: 2, maxTokens: 8 };
    const { tokens, usage } = await restored.generate(undefined, options);
    expect(tokens).toEqual((await session.generate(undefined, options)).tokens);
    expect(usage.cachedTokens).toBe(4);
  });

  it("are refused by models of other weights, another cache or too short a context", async () => {
    const session = (await load(gguf)).session();
    await session.append([5, 6, 7, 8, 9]);
    const snapshot = await session.save();
    const others = randomCheckpoint({ config, type: "Q8_0", seed: 5 });
    const stranger = await load(await checkpointToGguf(others, plainVocabulary(320)));
    await expect(stranger.restore(snapshot)).rejects.toThrow(/session of this model/);
    await expect((await load(gguf, { cacheType: "f32" })).restore(snapshot)).rejects.toThrow(/cache of f32/);
    await expect((await load(gguf, { contextLength: 3 })).restore(snapshot)).rejects.toThrow(
      /at most 3 tokens/,
    );
    await expect(stranger.restore(snapshot)).rejects.toThrow(SnapshotError);
  });

  it("are refused when they are cut off or changed anywhere", async () => {
    const model = await load(gguf);
    const session = model.session();
    await session.append([5, 6, 7]);
    const snapshot = await session.save();
    await fc.assert(
      fc.asyncProperty(fc.nat(snapshot.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        await expect(model.restore(snapshot.subarray(0, at))).rejects.toThrow(SnapshotError);
        const changed = snapshot.slice();
        changed[at]! ^= change;
        await expect(model.restore(changed)).rejects.toThrow(SnapshotError);
      }),
    );
    await expect(model.restore("text" as never)).rejects.toThrow(TypeError);
    expect((await model.restore(snapshot)).tokens).toEqual([5, 6, 7]);
  });
});

describe("a full context", () => {
  const long = { seed: 3, maxTokens: 100, logitBias: { 0: -Infinity, 1: -Infinity, 2: -Infinity } } as const;

  it("ends the text by itself, as an error, or goes on without the older half", async () => {
    const model = await load(gguf);
    const stopped = await model.generate([5, 6], long);
    expect(stopped).toMatchObject({ finishReason: "length", endedBy: "context" });
    expect(stopped.tokens.length).toBe(contextLength - 1);
    const failing = model.generate([5, 6], { ...long, contextFull: "error" });
    await expect(failing).rejects.toThrow(/context of 40 tokens is full/);
    const shifted = await model.generate([5, 6], { ...long, contextFull: "shift", keep: 2 });
    expect(shifted).toMatchObject({ endedBy: "maxTokens" });
    expect(shifted.tokens.length).toBe(100);
    expect(shifted.tokens.slice(0, contextLength - 1)).toEqual(stopped.tokens);
  });

  it("is shifted to what its own tokens would have given: greedily, the same as from the kept ones", async () => {
    const model = await load(gguf);
    const options = { ...long, ...greedy, contextFull: "shift", keep: 3 } as const;
    const session = model.session();
    const { tokens } = await session.generate([5, 6, 7, 8], { ...options, maxTokens: 40 });
    const all = [5, 6, 7, 8, ...tokens];
    // 41 tokens are one too many: (40 - 3) >> 1 are dropped after the first three
    const kept = [...all.slice(0, 3), ...all.slice(3 + 18, 41)];
    const next = await model.generate(kept, { ...options, maxTokens: 3 });
    expect(next.tokens).toEqual(tokens.slice(37));
    expect(session.tokens).toEqual([...kept, ...tokens.slice(37)]);
  });
});
