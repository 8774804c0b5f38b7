import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../engine/engine.js";
import { NumericError } from "../errors.js";
import type { LayerState, OnLayer } from "../model/layer-state.js";
import { loadInThread } from "./load.js";
import { createModel, type Model } from "./model.js";

let model: Model;
beforeAll(async () => {
  model = await loadInThread();
});
afterAll(() => model.dispose());

const greedy = { temperature: 0, maxTokens: 12 };
const prompt = "Once upon a time, there was a little dog who lived in a big house.";

/** Positions that a hook has seen of each layer, in order. */
function watch(): { readonly seen: number[][]; readonly onLayer: OnLayer } {
  const seen: number[][] = Array.from({ length: model.config.nLayers }, () => []);
  return {
    seen,
    onLayer({ layer, position, count }) {
      for (let i = 0; i < count; i++) seen[layer]!.push(position + i);
    },
  };
}

/** Adds to one coordinate of every residual of the first layer. */
function push(by: number): OnLayer {
  return ({ layer, residual }: LayerState) => {
    if (layer !== 0) return;
    for (let i = 7; i < residual.length; i += model.config.dim) residual[i]! += by;
  };
}

const upTo = (end: number) => Array.from({ length: end }, (_, i) => i);

describe("generate with onLayer", () => {
  it("shows every layer of every token but the last, in the order of positions, though the prompt be known", async () => {
    await model.generate(prompt, greedy);
    const { seen, onLayer } = watch();
    const { promptTokens, tokens } = await model.generate(prompt, { ...greedy, onLayer });
    expect(tokens).toHaveLength(12);
    for (const positions of seen) expect(positions).toEqual(upTo(promptTokens.length + 11));
  });

  it("writes the same text when the hook only looks, and another one when it writes", async () => {
    const { text } = await model.generate(prompt, greedy);
    const { onLayer } = watch();
    expect((await model.generate(prompt, { ...greedy, onLayer })).text).toBe(text);
    expect((await model.generate(prompt, { ...greedy, onLayer: push(8) })).text).not.toBe(text);
    expect((await model.generate(prompt, greedy)).text).toBe(text);
  });

  it("rejects with what the hook throws, and with a NumericError where it writes NaN; the model goes on", async () => {
    const { text } = await model.generate(prompt, greedy);
    const onLayer = () => {
      throw new RangeError("enough");
    };
    await expect(model.generate(prompt, { ...greedy, onLayer })).rejects.toThrow(/^enough$/);
    const nan = model.generate(prompt, { ...greedy, onLayer: push(Number.NaN) });
    await expect(nan).rejects.toThrow(NumericError);
    expect((await model.generate(prompt, greedy)).text).toBe(text);
  });

  it("leaves nothing of a steered text to others, and keeps nothing from them, when they come in between", async () => {
    const plain = await model.generate(prompt, greedy);
    const steered = await model.generate(prompt, { ...greedy, onLayer: push(8) });
    let text = "";
    for await (const part of model.generate(prompt, { ...greedy, onLayer: push(8) })) {
      text += part.text;
      expect((await model.generate(prompt, greedy)).text).toBe(plain.text);
    }
    expect(text).toBe(steered.text);
  });

  it("leaves a session what it knew before, and nothing of what the hook has made of it", async () => {
    const alone = model.session();
    await alone.append(prompt);
    const session = alone.fork();
    await session.append("");
    const { tokens } = await session.generate(undefined, { ...greedy, onLayer: push(8) });
    await alone.append(tokens);
    expect(session.tokens).toEqual(alone.tokens);
    expect(await session.logits()).toEqual(await alone.logits());
  });

  it("is a TypeError that names loadInThread() for a model that computes elsewhere", () => {
    const remote = createModel({
      engine: { facts: { config: model.config, contextLength: 64 } } as Engine,
      inThread: false,
      data: { special: {}, addBos: true, userDefined: [] } as unknown as Parameters<
        typeof createModel
      >[0]["data"],
      tokenizer: () => model.tokenizer,
    });
    const { onLayer } = watch();
    expect(() => remote.generate(prompt, { onLayer })).toThrow(TypeError);
    expect(() => remote.generate(prompt, { onLayer })).toThrow(/loadInThread\(\)/);
    expect(() => remote.logits(prompt, { onLayer })).toThrow(/loadInThread\(\)/);
  });

  it("is a TypeError for a hook that is no function", () => {
    const onLayer = "look" as unknown as OnLayer;
    expect(() => model.generate(prompt, { onLayer })).toThrow(TypeError);
    expect(() => model.generate(prompt, { onLayer })).toThrow(
      /expected onLayer to be a function, found "look"/,
    );
    expect(() => model.logits(prompt, { onLayer })).toThrow(
      /expected onLayer to be a function, found "look"/,
    );
  });
});

describe("logits with onLayer", () => {
  it("shows every layer of every token, and gives what the hook has made of them", async () => {
    const { seen, onLayer } = watch();
    const ids = model.tokenize(prompt);
    const all = async (hook?: OnLayer) => {
      const rows = [];
      for await (const row of model.logits(ids, { from: 0, onLayer: hook })) rows.push(row.slice());
      return rows;
    };
    const plain = await all();
    expect(await all(onLayer)).toEqual(plain);
    for (const positions of seen) expect(positions).toEqual(upTo(ids.length));
    expect(await all(push(8))).not.toEqual(plain);
  });
});
