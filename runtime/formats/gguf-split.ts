import { FormatError } from "../errors.js";
import { grouped, quoted } from "./byte-cursor.js";
import type { MetadataValue } from "./checkpoint.js";
import { type Gguf, openGguf } from "./gguf.js";
import { integerAt } from "./gguf-values.js";
import { joinSources } from "./join-sources.js";
import type { StoredTensor } from "./llama-tensors.js";
import { baseName, type Source } from "./source.js";

/**
 * Models that llama.cpp's gguf-split has cut into files, `name-00001-of-00003.gguf` and so on. Each is a GGUF by itself, with
 * some of the tensors:
 *
 *     split.no             u16, from 0
 *     split.count          u16, the number of parts
 *     split.tensors.count  i32, tensors in all parts together
 *
 * The model's own metadata is in the first part only.
 *
 * Source: tools/gguf-split and llama_split_path in https://github.com/ggml-org/llama.cpp
 */
const splitKeys = { no: "split.no", count: "split.count", tensors: "split.tensors.count" } as const;

/**
 * The whole of a model of which this is the first part; a GGUF that is no part of anything is whole already. The other parts
 * are the sources listed with it, or the files beside it, found by its name.
 *
 * @throws FormatError where a part is missing, or does not go with the first
 */
export async function joinGgufParts(first: Gguf): Promise<Gguf> {
  const count = integerAt(first, splitKeys.count) ?? 1;
  if (count === 1) {
    const more = (first.source.listed?.length ?? 1) - 1;
    if (more > 0) throw refusal(first, `expected a model in one file, found ${more} more with it`);
    return first;
  }
  const parts: Gguf[] = [];
  for (let no = 0; no < count; no++) {
    const part = no === 0 ? first : await openGguf(await sourceOfPart(first, no, count));
    checkPart(part, first, no, count);
    parts.push(part);
  }
  const tensors = joinDirectories(parts);
  const expected = integerAt(first, splitKeys.tensors) ?? tensors.size;
  if (tensors.size !== expected) {
    throw refusal(
      first,
      `${splitKeys.tensors}: expected ${grouped(expected)} tensors in the ${count} parts, found ${grouped(tensors.size)}`,
    );
  }
  return {
    ...first,
    metadata: new Map([...first.metadata].filter(([key]) => !isSplitKey(key))),
    tensors,
    source: joinSources(
      parts.map((part) => part.source),
      first.source.name,
    ),
  };
}

async function sourceOfPart(first: Gguf, no: number, count: number): Promise<Source> {
  const { listed, sibling, name } = first.source;
  if (listed) {
    if (listed.length === count) return listed[no]!;
    throw refusal(first, `expected all of its ${count} parts in their order, found ${listed.length}`);
  }
  const stem = /^(.*)-00001-of-(\d{5})\.gguf$/.exec(baseName(name));
  if (!sibling || Number(stem?.[2]) !== count) {
    const example = `name${partSuffix(0, count)}`;
    throw refusal(
      first,
      `expected it to be called ${example}, the first of ${count} parts, with the others beside it`,
    );
  }
  const file = `${stem![1]}${partSuffix(no, count)}`;
  const source = await sibling(file);
  if (!source) throw refusal(first, `expected part ${no + 1} of ${count} beside it, found no ${file}`);
  return source;
}

/** `-00002-of-00003.gguf` for part 1, counted from 0, of 3. */
function partSuffix(no: number, count: number): string {
  const five = (number: number) => String(number).padStart(5, "0");
  return `-${five(no + 1)}-of-${five(count)}.gguf`;
}

function checkPart(part: Gguf, first: Gguf, no: number, count: number): void {
  const partNo = integerAt(part, splitKeys.no);
  const partCount = integerAt(part, splitKeys.count);
  if (partNo !== no || partCount !== count) {
    const isPart = partNo !== undefined && partCount !== undefined;
    const found = isPart ? `part ${partNo + 1} of ${partCount}` : "a file that is no part";
    throw refusal(part, `expected part ${no + 1} of ${count}, found ${found}`);
  }
  for (const [key, value] of part.metadata) {
    if (key === splitKeys.no || key === "general.alignment") continue;
    if (!isSame(value, first.metadata.get(key))) {
      throw refusal(part, `${key}: expected the same as in ${first.source.name}, found another model's part`);
    }
  }
}

/** All parts' tensors, with their places in the joined source. */
function joinDirectories(parts: readonly Gguf[]): Map<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>();
  let start = 0;
  for (const part of parts) {
    for (const tensor of part.tensors.values()) {
      if (tensors.has(tensor.name)) {
        throw refusal(
          part,
          `expected each tensor in one part, found ${quoted(tensor.name)} in another one too`,
        );
      }
      tensors.set(tensor.name, { ...tensor, offset: start + tensor.offset });
    }
    start += part.source.size;
  }
  return tensors;
}

function isSplitKey(key: string): boolean {
  return Object.values<string>(splitKeys).includes(key);
}

function isSame(a: MetadataValue, b: MetadataValue | undefined): boolean {
  if (typeof a !== "object" || typeof b !== "object") return Object.is(a, b);
  return a.length === b.length && Array.from(a).every((value, i) => isSame(value, b[i]!));
}

function refusal(gguf: Gguf, problem: string): FormatError {
  return new FormatError(`Cannot load ${gguf.source.name}: ${problem}`);
}
