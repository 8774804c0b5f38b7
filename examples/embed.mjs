// A text, written while it comes:  node examples/embed.mjs
import { load } from "cria";

const model = await load("tiny"); // or a path: load("llama-2-7b-chat.Q4_0.gguf")
const story = model.generate("One day, a little cat", { maxTokens: 60, temperature: 0.8, seed: 7 });
for await (const { text } of story) process.stdout.write(text);
const { usage, finishReason } = await story;
console.error(`\n${usage.completionTokens} tokens, ended by ${finishReason}`);
await model.dispose();
