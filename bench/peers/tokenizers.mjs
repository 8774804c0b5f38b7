// How fast other tokenizers in JavaScript and WebAssembly are, beside cria's, on Llama 2's vocabulary: see ../README.md.
// In a copy of this folder with its dependencies, or here after npm install; the repository has to be built:
//
//     node bench/peers/tokenizers.mjs

import { readFileSync } from "node:fs";
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
  English: prompts(`${data}/text/wiki.test.raw`),
  Japanese: prompts(`${data}/text/wagahaiwa_nekodearu.txt`),
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
function prompts(file) {
  const text = readFileSync(file, "utf8").slice(0, 500_000);
  return text.match(/.{1,4096}/gsu);
}
