import type { Estimate } from "../runtime/index.js";
import { grouped, printable } from "./output.js";
import { table } from "./table.js";

/** What loading a model would take, for people. */
export function fitText(path: string, found: Estimate): string {
  const { contextLength, cacheType, threads, totalBytes, stages } = found;
  const parts = [
    ["weights", grouped(found.weightsBytes)],
    ["cache", grouped(found.cacheBytes)],
    ["scratch", grouped(found.scratchBytes)],
    ...(found.readAheadBytes ? [["read ahead", grouped(found.readAheadBytes)]] : []),
  ];
  const memories = stages.map(({ layers, streamedLayers, bytes }, i) => [
    `memory ${i + 1}`,
    grouped(bytes),
    `${layers} layers${streamedLayers ? `, ${streamedLayers} of them streamed` : ""}`,
  ]);
  return [
    `${printable(path)}: ${grouped(totalBytes)} bytes of memory for a context of ${grouped(contextLength)}, a cache of ${cacheType} and ${threads} threads\n`,
    table([...parts, ...memories], "lrl", "  "),
    verdict(found),
    speedText(found),
    "bytes in all, of them the cache\n",
    table(contextRows(found), "rlrr", "  "),
  ].join("");
}

function verdict({ fits, memoryLimit, wouldFit }: Estimate): string {
  if (fits === undefined || memoryLimit === undefined) return "how much memory there is nobody tells\n";
  const room = `it may take ${grouped(memoryLimit)}`;
  if (fits) return `fits: ${room}\n`;
  const changes = wouldFit.map(({ contextLength, cacheType, type, quantize, weights, totalBytes }) => {
    const options = [
      ...(contextLength === undefined ? [] : [`--context ${contextLength}`]),
      ...(cacheType === undefined ? [] : [`--cache ${cacheType}`]),
      ...(type === undefined ? [] : [quantize ? `--quantize ${type}` : `a file of type ${type}`]),
      ...(weights === undefined ? [] : [`--weights ${weights}`]),
    ];
    return [options.join(" "), grouped(totalBytes)];
  });
  if (changes.length === 0) return `does not fit: ${room}\n`;
  return `does not fit: ${room}; it would with\n${table(changes, "lr", "  ")}`;
}

function speedText({ speed }: Estimate): string {
  if (!speed) return "";
  return `writes about ${shown(speed.first)} tokens/s at first, ${shown(speed.last)} where the context is full\n`;
}

function shown(tokensPerSecond: number): string {
  return tokensPerSecond >= 100
    ? grouped(Math.round(tokensPerSecond))
    : String(Number(tokensPerSecond.toPrecision(2)));
}

function contextRows({ contexts }: Estimate): string[][] {
  return contexts.map(({ contextLength, cacheType, cacheBytes, totalBytes }) => [
    grouped(contextLength),
    cacheType,
    grouped(totalBytes),
    grouped(cacheBytes),
  ]);
}
