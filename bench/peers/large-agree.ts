// Do cria and llama.cpp agree on a large model? Compares logits that bench/large.js has written with those of llama.cpp, fed the same ids: two processes, so
// that the model is in memory once.

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { openLlamaCpp, versions } from "./llama-cpp.js";

const help = `usage: node bench/peers/dist/bench/peers/large-agree.js MODEL.gguf LOGITS

LOGITS is what \`node dist/bench/large.js MODEL.gguf --logits LOGITS\` wrote. Prints at how many positions both take the same token to be the likeliest
and, where they don't, how far apart cria's logits of the two tokens are, beside the logits' spread.
`;

const { positionals, values: options } = parseArgs({
  allowPositionals: true,
  options: { help: { type: "boolean" }, vocab: { type: "string", default: "32000" } },
});
if (options.help) process.stdout.write(help);
else await main();
process.exit(); // llama.cpp's threads would keep the process alive

async function main(): Promise<void> {
  const [path, logitsPath] = positionals;
  if (!path || !logitsPath) throw new TypeError("expected a model and a file of logits; see --help");
  const vocabSize = Number(options.vocab);
  const file = readFileSync(logitsPath);
  const all = new Float32Array(file.buffer, file.byteOffset, file.byteLength / 4);
  const count = all.length / vocabSize;
  // as bench/large.js feeds them
  const ids = Array.from({ length: count }, (_, i) => (i === 0 ? 1 : (7919 * i + 104_729) % vocabSize));
  const peer = await openLlamaCpp(path, vocabSize, 128);
  const theirs = await peer.logitsOf(ids);

  let same = 0;
  let error = 0;
  const gaps: number[] = [];
  let deviation = 0;
  theirs.forEach((other, position) => {
    const own = all.subarray(position * vocabSize, (position + 1) * vocabSize);
    const [a, b] = [top(own), top(other)];
    if (a === b) same++;
    else gaps.push(own[a]! - own[b]!);
    let squares = 0;
    for (let id = 0; id < vocabSize; id++) {
      error += Math.abs(own[id]! - other[id]!);
      squares += own[id]! ** 2;
    }
    deviation += Math.sqrt(squares / vocabSize);
  });
  const result = {
    engine: await versions(),
    positions: count,
    sameTop: same / count,
    /** Of cria's logits, between its own likeliest token and llama.cpp's. */
    largestGap: Math.max(0, ...gaps),
    gaps,
    meanError: error / all.length,
    logitDeviation: deviation / count,
  };
  console.log(
    `${(100 * result.sameTop).toFixed(1)} % the same likeliest token; where not, logits ${result.largestGap.toFixed(3)} apart at most; mean difference ${result.meanError.toExponential(1)}, logits' deviation ${result.logitDeviation.toFixed(2)}`,
  );
  console.log(JSON.stringify({ bench: "large-agree", ...result }));
}

function top(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id]! > logits[best]!) best = id;
  return best;
}
