// How fast other tokenizers in JavaScript and WebAssembly are, beside cria's, on Llama 2's vocabulary: see ../README.md.
// In a copy of this folder with its dependencies, or here after npm install; the repository has to be built:
//
//     node bench/peers/tokenizers.mjs

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { SentencePieceProcessor } from "@agnai/sentencepiece-js";
import { Tokenizer } from "@huggingface/tokenizers";
import llamaTokenizer from "llama-tokenizer-js";

const root = process.env.CRIA_ROOT ?? fileURLToPath(new URL("../..", import.meta.url));
const data = `${root}/../shared/data`;
const { openTokenizer } = await import(`${root}/dist/tokenizer/index.js`);
const rounds = 5;

let cria;
const agnai = new SentencePieceProcessor();
await agnai.load(`${data}/tokenizers/llama2/tokenizer.model`);
const json = (name) => JSON.parse(readFileSync(`${data}/tokenizers/llama2/${name}.json`, "utf8"));
const huggingFace = new Tokenizer(json("hf_llama_tokenizer"), json("hf_llama_tokenizer_config"));

const encoders = {
  cria: (text) => cria.encode(text),
  "@agnai/sentencepiece-js": (text) => agnai.encodeIds(text),
  "@huggingface/tokenizers": (text) => huggingFace.encode(text).ids,
  "llama-tokenizer-js": (text) => llamaTokenizer.encode(text, false),
};
const texts = {
  English: prompts(readFileSync(`${data}/text/wiki.test.raw`, "utf8")),
  code: prompts(sources()),
  Japanese: prompts(readFileSync(`${data}/text/wagahaiwa_nekodearu.txt`, "utf8")),
  "one word": [randomWord(200_000)],
};
for (const [name, list] of Object.entries(texts)) {
  const megabytes = Buffer.byteLength(list.join("")) / 1e6;
  const times = Object.fromEntries(Object.keys(encoders).map((encoder) => [encoder, []]));
  for (let round = 0; round < rounds; round++) {
    // a new one, which has no words in its cache yet
    cria = openTokenizer(readFileSync(`${data}/tokenizers/llama2/tokenizer.model`));
    for (const [encoder, encode] of Object.entries(encoders)) {
      const begin = performance.now();
      for (const text of list) encode(text);
      times[encoder].push(performance.now() - begin);
    }
  }
  for (const [encoder, all] of Object.entries(times)) {
    const median = all.sort((a, b) => a - b)[rounds >> 1];
    console.log(`${name.padEnd(10)} ${encoder.padEnd(24)} ${((1000 * megabytes) / median).toFixed(2)} MB/s`);
  }
}

/** The first half megabyte of a text, in pieces of 4096 characters. */
function prompts(text) {
  return text.slice(0, 500_000).match(/.{1,4096}/gsu);
}

/** This repository's TypeScript. */
function sources() {
  const folders = ["tokenizer", "runtime", "kernels", "cli"].map((name) => `${root}/${name}`);
  const names = folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true })
      .filter((name) => name.endsWith(".ts") && !name.startsWith("generated"))
      .map((name) => `${folder}/${name}`),
  );
  return names
    .sort()
    .map((name) => readFileSync(name, "utf8"))
    .join("");
}

/** Small letters, the same each time. */
function randomWord(length) {
  let state = 1;
  return Array.from({ length }, () => {
    state = (state * 48_271) % 2_147_483_647;
    return String.fromCharCode(97 + (state % 26));
  }).join("");
}
