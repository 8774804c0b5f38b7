import { FormatError, UnsupportedError } from "../errors.js";
import { ByteCursor, grouped, quoted, WindowEnd } from "./byte-cursor.js";
import type { MetadataValue } from "./checkpoint.js";
import { describeHead } from "./file-signatures.js";
import { type GgmlType, ggmlType } from "./ggml-types.js";
import { type MetadataType, readMetadataValue, readName } from "./gguf-metadata.js";
import type { StoredTensor } from "./llama-tensors.js";
import type { Source } from "./source.js";

/**
 * An opened GGUF file: the container only, whatever model is in it.
 *
 *     header    magic "GGUF", version u32, tensor count u64, metadata count u64
 *     metadata  { key string, type u32, value } ...
 *     tensors   { name string, dimensions u32, sizes u64..., type u32, offset u64 } ...
 *     padding   to a multiple of the alignment
 *     data      the tensors, each padded to the alignment
 *
 * Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
export interface Gguf {
  readonly version: 2 | 3;
  readonly alignment: number;
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  /** The type each metadata value has in the file. */
  readonly metadataTypes: ReadonlyMap<string, MetadataType>;
  /** In the directory's order; types by ggml's names, any that it knows; sizes without padding. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly source: Source;
}

/** Most headers are shorter than this; those with a vocabulary of 128,000 pieces take 8 MB. */
const firstWindowBytes = 1 << 20;
/** Larger headers than this do not occur; a hostile one could otherwise be as large as the file. */
const maxHeaderBytes = 128 << 20;
/** By the specification. */
const maxKeyBytes = 65535;
/** By the specification (and ggml's GGML_MAX_NAME). */
const maxTensorNameBytes = 64;
/** By the specification. */
const maxDimensions = 4;
const defaultAlignment = 32;
/** The largest in use is a page of memory, 64 KiB at most. */
const maxAlignment = 1 << 20;

const magic = 0x46554747; // "GGUF"
/** The shortest metadata pair: a key of one byte, its type, a value of one byte. */
const minPairBytes = 8 + 1 + 4 + 1;
/** The shortest directory entry: a name of one byte, one dimension, type, offset. */
const minTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;

/**
 * Reads a GGUF's header: versions 2 and 3, little-endian. No tensor data is read.
 *
 * @throws FormatError when the bytes are no GGUF, are cut off or contradict themselves
 * @throws UnsupportedError for another version, big-endian files, and tensor types that ggml does not have (any more)
 */
export async function openGguf(source: Source): Promise<Gguf> {
  // the header does not say how long it is: read a window, and a larger one if that ends too early
  let windowBytes = firstWindowBytes;
  for (;;) {
    const window = await source.read(0, Math.min(windowBytes, source.size));
    try {
      return readHeader(window, source);
    } catch (error) {
      if (!(error instanceof WindowEnd)) throw error;
      windowBytes = Math.max(2 * windowBytes, error.end);
      if (windowBytes > maxHeaderBytes) {
        throw new FormatError(
          `Cannot read ${source.name}: expected a header of at most ${grouped(maxHeaderBytes)} bytes, found a longer one`,
        );
      }
    }
  }
}

function readHeader(window: Uint8Array, source: Source): Gguf {
  const cursor = new ByteCursor(window, source.name, source.size);
  const version = readVersion(cursor, window, source);
  const tensorCount = cursor.count("number of tensors", minTensorBytes);
  const pairCount = cursor.count("number of metadata pairs", minPairBytes);

  cursor.spend(tensorCount, "number of tensors");
  cursor.spend(pairCount, "number of metadata pairs");

  const metadata = new Map<string, MetadataValue>();
  const metadataTypes = new Map<string, MetadataType>();
  for (let i = 0; i < pairCount; i++) {
    const key = readName(cursor, `key ${i}`, maxKeyBytes);
    if (metadata.has(key)) throw cursor.bad(`key ${i}`, "each key once", `${quoted(key)} again`);
    const { value, type } = readMetadataValue(cursor, quoted(key));
    metadata.set(key, value);
    metadataTypes.set(key, type);
  }
  const alignment = readAlignment(cursor, metadata, metadataTypes);

  const entries = new Map<string, StoredTensor>();
  for (let i = 0; i < tensorCount; i++) {
    const tensor = readTensorEntry(cursor, i, source);
    if (entries.has(tensor.name)) throw cursor.bad(`tensor ${i}`, "each name once", `"${tensor.name}" again`);
    entries.set(tensor.name, tensor);
  }

  const dataStart = padded(cursor.position, alignment);
  const tensors = new Map<string, StoredTensor>();
  for (const entry of entries.values()) {
    tensors.set(entry.name, { ...entry, offset: dataStart + entry.offset });
  }
  checkLayout(tensors, dataStart, alignment, source);
  return { version, alignment, metadata, metadataTypes, tensors, source };
}

function readVersion(cursor: ByteCursor, window: Uint8Array, source: Source): 2 | 3 {
  if (window.length < 4 || cursor.u32("magic") !== magic) {
    throw new FormatError(`Cannot read ${source.name}: not a GGUF file; ${describeHead(window)}`);
  }
  const version = cursor.u32("version");
  if (version === 2 || version === 3) return version;
  // a big-endian file has the same magic, and its small version number comes out as a multiple of 65,536
  const found = version !== 0 && version % 65536 === 0 ? "a big-endian GGUF" : `GGUF version ${version}`;
  throw new UnsupportedError(
    `Cannot read ${source.name}: ${found} is not supported; versions 2 and 3, little-endian, are`,
  );
}

/** The specification asks for a multiple of 8; llama.cpp and gguf-py take any power of two, and so do we. */
function readAlignment(
  cursor: ByteCursor,
  metadata: ReadonlyMap<string, MetadataValue>,
  types: ReadonlyMap<string, MetadataType>,
): number {
  const alignment = metadata.get("general.alignment");
  if (alignment === undefined) return defaultAlignment;
  const expected = `a u32 power of two up to ${grouped(maxAlignment)}`;
  if (typeof alignment !== "number" || types.get("general.alignment") !== "u32") {
    throw cursor.bad("general.alignment", expected, `a ${types.get("general.alignment")}`);
  }
  if (alignment === 0 || (alignment & (alignment - 1)) !== 0 || alignment > maxAlignment) {
    throw cursor.bad("general.alignment", expected, String(alignment));
  }
  return alignment;
}

/** A directory entry; its offset is still relative to the data section. */
function readTensorEntry(cursor: ByteCursor, index: number, source: Source): StoredTensor {
  const name = readName(cursor, `name of tensor ${index}`, maxTensorNameBytes);
  const field = `tensor "${name}"`;
  const dimensions = cursor.u32(`${field}, dimensions`);
  if (dimensions < 1 || dimensions > maxDimensions) {
    throw cursor.bad(`${field}, dimensions`, `1 to ${maxDimensions}`, String(dimensions));
  }
  const shape: number[] = [];
  for (let i = 0; i < dimensions; i++) {
    const size = cursor.size(`${field}, dimension ${i}`);
    if (size === 0) throw cursor.bad(`${field}, dimension ${i}`, "at least 1", "0");
    shape.unshift(size); // innermost first in the file
  }

  const typeNumber = cursor.u32(`${field}, type`);
  const type = ggmlType(typeNumber);
  if (!type) {
    const signed = typeNumber | 0; // -1 is written as 4,294,967,295
    throw new UnsupportedError(
      `Cannot read ${source.name}: ${field}: type ${signed} is not one of ggml's types today`,
    );
  }
  const cols = shape.at(-1)!;
  if (cols % type.blockSize !== 0) {
    throw new UnsupportedError(
      `Cannot read ${source.name}: ${field}: a row of ${type.name} is a multiple of ${type.blockSize} weights, found ${cols}`,
    );
  }
  const bytes = tensorBytes(shape, type);
  if (bytes > source.size) {
    throw cursor.bad(
      field,
      `at most the ${grouped(source.size)} bytes of the file`,
      `the shape [${shape.join(", ")}] in ${type.name}`,
    );
  }
  return { name, shape, type: type.name, offset: cursor.size(`${field}, offset`), bytes };
}

/** Infinity where the product leaves the integers that a number holds exactly. */
function tensorBytes(shape: readonly number[], { blockSize, blockBytes }: GgmlType): number {
  let blocks = shape.at(-1)! / blockSize;
  for (const size of shape.slice(0, -1)) blocks *= size;
  const bytes = blocks * blockBytes;
  return Number.isSafeInteger(bytes) ? bytes : Number.POSITIVE_INFINITY;
}

/**
 * The tensors fill the data section without gap or overlap, each padded to the alignment: what every writer produces
 * and llama.cpp insists on. Their order in the directory may differ from that in the data (llama.cpp refuses that),
 * the last one's padding may be missing, and bytes after it are nobody's business.
 */
function checkLayout(
  tensors: ReadonlyMap<string, StoredTensor>,
  dataStart: number,
  alignment: number,
  source: Source,
): void {
  let expected = dataStart;
  for (const { name, offset, bytes } of [...tensors.values()].sort((a, b) => a.offset - b.offset)) {
    const cannot = `Cannot read ${source.name}: tensor "${name}"`;
    if (offset !== expected) {
      const trouble =
        (offset - dataStart) % alignment !== 0
          ? `not a multiple of the alignment ${alignment}`
          : offset < expected
            ? "overlapping another tensor"
            : "after a gap";
      throw new FormatError(
        `${cannot}: expected to start at byte ${grouped(expected)}, starts at ${grouped(offset)}, ${trouble}`,
      );
    }
    const end = offset + bytes;
    if (end > source.size) {
      throw new FormatError(
        `${cannot} ends at byte ${grouped(end)}, past the end of the file (${grouped(source.size)})`,
      );
    }
    expected = padded(end, alignment);
  }
}

function padded(position: number, alignment: number): number {
  return Math.ceil(position / alignment) * alignment;
}
