/**
 * 64 bits of bytes, in which a change anywhere shows; no protection against who wants to be mistaken. Two lanes of FNV-1a
 * (Fowler, Noll, Vo) over little-endian 32-bit words, the length included, with Murmur3's last step (Appleby) to mix the bits.
 */
export function checksum(bytes: Uint8Array): readonly [number, number] {
  const whole = bytes.length >>> 2;
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const words = new Int32Array(aligned.buffer, aligned.byteOffset, whole);
  let one = 0x811c9dc5 ^ bytes.length;
  let two = 0x2166_36e1 ^ (bytes.length / 2 ** 32);
  const add = (word: number) => {
    one = Math.imul(one ^ word, 0x01000193);
    two = Math.imul((two ^ word) + (two << 13), 0x85ebca6b) ^ (two >>> 15);
  };
  for (let i = 0; i < whole; i++) add(words[i]!);
  for (let i = 4 * whole; i < bytes.length; i++) add(bytes[i]!);
  return [mixed(one), mixed(two)];
}

function mixed(bits: number): number {
  let h = bits ^ (bits >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
