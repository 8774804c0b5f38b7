import { SnapshotError } from "../errors.js";
import { type CacheType, cacheTypes } from "../memory/choices.js";
import { checksum } from "./checksum.js";

/** A text that has been worked on: its ids, and the keys and values of the first of them. */
export interface Snapshot {
  readonly ids: readonly number[];
  /** Positions whose keys and values are there. */
  readonly positions: number;
  /** As readCache gives them. */
  readonly rows: Uint8Array;
  readonly cacheType: CacheType;
  /** Tells models apart, as `fingerprint` of the engine does. */
  readonly fingerprint: readonly [number, number];
}

// The format, little-endian: the magic's 8 bytes; then 32-bit numbers: version, number of the cache's type, the fingerprint's two,
// the number of ids, that of positions; the ids, 32 bits each; the rows; and the checksum's two, of all bytes before it.
const magic = "criaPast";
const VERSION = 1;
const HEAD_BYTES = 8 + 4 * 6;
const TAIL_BYTES = 8;

export function writeSnapshot({ ids, positions, rows, cacheType, fingerprint }: Snapshot): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES + 4 * ids.length + rows.length + TAIL_BYTES);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < 8; i++) bytes[i] = magic.charCodeAt(i);
  const head = [VERSION, cacheTypes.indexOf(cacheType), ...fingerprint, ids.length, positions];
  [...head, ...ids].forEach((number, i) => {
    view.setUint32(8 + 4 * i, number, true);
  });
  bytes.set(rows, HEAD_BYTES + 4 * ids.length);
  const end = bytes.length - TAIL_BYTES;
  checksum(bytes.subarray(0, end)).forEach((half, i) => {
    view.setUint32(end + 4 * i, half, true);
  });
  return bytes;
}

/**
 * What a snapshot holds. The ids and the rows' size are the model's to check. Throws a SnapshotError for bytes that are none, are cut off or
 * damaged, or of another version.
 */
export function readSnapshot(bytes: Uint8Array): Snapshot {
  const fail = (expected: string, found: string) =>
    new SnapshotError(`Cannot restore a session: expected ${expected}, found ${found}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEAD_BYTES + TAIL_BYTES || String.fromCharCode(...bytes.subarray(0, 8)) !== magic) {
    throw fail("a snapshot that save() made", `${bytes.length} bytes of something else`);
  }
  const number = (i: number) => view.getUint32(8 + 4 * i, true);
  if (number(0) !== VERSION) throw fail(`a snapshot of version ${VERSION}`, `version ${number(0)}`);
  const end = bytes.length - TAIL_BYTES;
  const sums = checksum(bytes.subarray(0, end));
  if (sums.some((half, i) => half !== view.getUint32(end + 4 * i, true))) {
    throw fail("a snapshot as it was saved", "one that is cut off or damaged");
  }
  const [cacheType, count, positions] = [cacheTypes[number(1)], number(4), number(5)];
  if (!cacheType || count > (end - HEAD_BYTES) / 4 || positions > count) {
    throw fail("counts that fit its size", `${count} tokens and ${positions} positions`);
  }
  return {
    cacheType,
    fingerprint: [number(2), number(3)],
    ids: Array.from({ length: count }, (_, i) => number(6 + i)),
    positions,
    rows: bytes.subarray(HEAD_BYTES + 4 * count, end),
  };
}
